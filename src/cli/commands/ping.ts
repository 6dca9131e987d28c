/**
 * `overlay ping`: round trips through the tunnel, and over which path each went.
 *
 * A question is a TCP connection to a port that is closed: the other system refuses it by itself, which
 * takes one round trip, no privilege, and no program on either side.
 */

import { connect } from 'node:net'
import { AppError, ERROR_CODES, UsageError } from '../../base/errors.js'
import { tryParseInteger } from '../../config/values.js'
import type { InterfaceStatus, PeerStatus } from '../../daemon/local-api-schema.js'
import type { Command } from '../command.js'
import { printJson, printLine } from '../output.js'

const DISCARD_PORT = 9
const TIMEOUT_MS = 3000
const INTERVAL_MS = 1000
const FAST_INTERVAL_MS = 100
const DEFAULT_COUNT = '5'

interface Reply {
  /** Null if none came in time. */
  readonly rttMs: number | null
  readonly kind: string
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
    const ask = async (): Promise<PeerStatus> => requirePeer(await statusOf(value('interface')), name)
    let before = await ask()
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
      const reply = { rttMs, kind: path?.kind ?? 'direct', endpoint }
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

async function statusOf(interfaceName: string | undefined): Promise<InterfaceStatus> {
  const { askStatus } = await import('../running.js')
  return await askStatus(interfaceName)
}

function requirePeer(status: InterfaceStatus, name: string): PeerStatus {
  const peer = status.peers.find((candidate) => candidate.name === name || candidate.publicKey === name)
  if (peer !== undefined) return peer
  const names = status.peers.flatMap((candidate) => candidate.name ?? [])
  throw new UsageError(`there is no peer ${name}`, {
    hint: `there are: ${names.join(', ') || 'none with a name'}`,
  })
}

function addressOf(peer: PeerStatus): string {
  const host = peer.allowedIps.find((prefix) => prefix.endsWith('/32') || prefix.endsWith('/128'))
  if (host !== undefined) return host.split('/')[0] ?? ''
  throw new AppError(ERROR_CODES.usage, 'this peer has no address of its own to ask', {
    hint: 'its allowed IPs hold no /32 and no /128',
  })
}

/** Ms; null if no answer came in time. */
async function roundTrip(address: string): Promise<number | null> {
  const startMs = performance.now()
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port: DISCARD_PORT })
    const finish = (rttMs: number | null): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(rttMs)
    }
    const timer = setTimeout(() => finish(null), TIMEOUT_MS)
    socket.once('connect', () => finish(performance.now() - startMs))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      finish(error.code === 'ECONNREFUSED' ? performance.now() - startMs : null)
    })
  })
}

function describe(name: string, { rttMs, kind, endpoint }: Reply): string {
  if (rttMs === null) return `no answer from ${name} within ${TIMEOUT_MS / 1000} s (${kind})`
  return `${name} answers in ${rttMs.toFixed(1)} ms, ${kind}${kind === 'relay' ? '' : ` by ${endpoint ?? ''}`}`
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}
