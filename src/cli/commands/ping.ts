/** `overlay ping`: round trips through the tunnel, and over which path each went. */

import { UsageError } from '../../base/errors.js'
import { tryParseInteger } from '../../config/values.js'
import type { PeerStatus } from '../../daemon/local-api-schema.js'
import type { Command } from '../command.js'
import { findNode } from '../find-node.js'
import { ANSWER_TIMEOUT_MS, addressOf, roundTrip } from '../node-ping.js'
import { printJson, printLine } from '../output.js'

const INTERVAL_MS = 1000
const FAST_INTERVAL_MS = 100
const DEFAULT_COUNT = '5'

interface Reply {
  /** Null if none came in time. */
  readonly rttMs: number | null
  readonly kind: string
  /** False if the hub says that the node is away. */
  readonly isOnline: boolean
  readonly endpoint: string | null
}

export const ping: Command = {
  name: 'ping',
  positionals: '<node>',
  about: 'measure round trips to a node through the tunnel, and name the path of each',
  options: {
    count: { about: 'how many', value: DEFAULT_COUNT, alias: 'c' },
    'until-direct': { about: 'until a path is direct, up to 100 times, ten a second' },
    interface: { about: 'the interface, where there is more than one', value: 'the only one' },
  },
  examples: [['sudo overlay ping planner', 'five round trips']],
  async run({ words, value, has, output }) {
    const [name = ''] = words
    const isHunting = has('until-direct')
    const count = tryParseInteger(value('count') ?? (isHunting ? '100' : DEFAULT_COUNT), 1, 1_000_000)
    if (count === undefined) throw new UsageError('--count must be a number from 1')
    const { interfaceName, peer } = await findNode(name, value('interface'))
    const ask = async (): Promise<PeerStatus> => (await findNode(peer.publicKey, interfaceName)).peer
    let before = peer
    const address = addressOf(before)
    const replies: Reply[] = []
    const startMs = performance.now()
    let wasDirect = false
    for (let i = 0; i < count; i++) {
      if (i > 0) await pause(isHunting ? FAST_INTERVAL_MS : INTERVAL_MS)
      const rttMs = await roundTrip(address)
      // By the way that the question took: the path may be another one since.
      const { path, endpoint } = before
      before = await ask()
      const reply = { rttMs, kind: path?.kind ?? 'direct', isOnline: path?.isOnline ?? true, endpoint }
      replies.push(reply)
      if (!output.isJson) printLine(describe(name, reply))
      const isDirect = reply.kind !== 'relay'
      if (isDirect && !wasDirect && i > 0 && !output.isJson) {
        printLine(`direct after ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
      }
      wasDirect = isDirect
      if (isHunting && isDirect) break
    }
    if (output.isJson) printJson({ node: name, address, replies })
    return replies.some(({ rttMs }) => rttMs !== null) ? 0 : 1
  },
}

function describe(name: string, { rttMs, kind, isOnline, endpoint }: Reply): string {
  if (rttMs === null)
    return `no answer from ${name} within ${ANSWER_TIMEOUT_MS / 1000} s (${isOnline ? kind : 'offline'})`
  return `${name} answers in ${rttMs.toFixed(1)} ms, ${kind}${kind === 'relay' ? '' : ` by ${endpoint ?? ''}`}`
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}
