/** `overlay relay`: forwards sealed messages for the nodes of one or more networks. */

import { resolve } from 'node:path'
import { UsageError } from '../../base/errors.js'
import { type HostEndpoint, tryParseHostEndpoint } from '../../net/endpoint.js'
import { type PublicKey, tryParseKeyBase64 } from '../../wireguard/keys.js'
import type { Command } from '../command.js'
import { DEFAULT_RATE_LIMIT, listOf, portOf, rateLimitOf } from '../options.js'
import { printLine } from '../output.js'

const DEFAULT_PORT = 443

export const relay: Command = {
  name: 'relay',
  positionals: '',
  about: 'forward sealed messages between nodes that find no other way; runs until it is ended',
  options: {
    port: { about: 'TCP port; on the UDP port of that number it answers STUN', value: `${DEFAULT_PORT}` },
    hub: { about: 'hubs whose nodes may use it, as KEY@HOST:PORT, with commas', value: 'none' },
    allow: { about: 'identities that may use it without a hub, with commas', value: 'none' },
    'rate-limit': { about: 'Mbit/s that a node may send, or none', value: DEFAULT_RATE_LIMIT },
    state: { about: 'directory of its key', value: '/var/lib/overlay-relay' },
  },
  examples: [
    ['sudo overlay relay --hub KEY@HOST:PORT', 'the line that overlay hub status prints for relays'],
  ],
  async run(input) {
    const { RELAY_STATE_DIRECTORY, runRelay } = await import('../../daemon/relay-process.js')
    const hubs = listOf(input.value('hub')).map(requireHub)
    const allowed = listOf(input.value('allow')).map(requireIdentity)
    if (hubs.length + allowed.length === 0) {
      throw new UsageError('this relay would let nobody in', {
        hint: 'give --hub KEY@HOST:PORT as overlay hub status prints it, or --allow IDENTITY',
      })
    }
    await runRelay({
      directory: resolve(input.value('state') ?? RELAY_STATE_DIRECTORY),
      port: portOf(input, 'port', DEFAULT_PORT),
      hubs,
      allowed,
      maxBytesPerS: rateLimitOf(input),
      isVerbose: input.output.isVerbose,
      onReady: ({ key, port }) => {
        if (input.output.isJson) printLine(JSON.stringify({ key, port }))
        else printLine(`the relay runs; on its hub, type: overlay hub relay add HOST:${port}:${key}`)
      },
    })
    return 0
  },
}

function requireHub(text: string): { hub: HostEndpoint; hubKey: PublicKey } {
  const [, key = '', place = ''] = /^([A-Za-z0-9+/]{43}=)@(.+)$/.exec(text) ?? []
  const hub = tryParseHostEndpoint(place)
  const hubKey = tryParseKeyBase64<PublicKey>(key)
  if (hub !== undefined && hubKey !== undefined) return { hub, hubKey }
  throw new UsageError(`--hub cannot be "${text}"`, {
    hint: 'write KEY@HOST:PORT as overlay hub status prints it for relays',
  })
}

function requireIdentity(text: string): string {
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return text
  throw new UsageError(`"${text}" is no key`, { hint: 'it is 44 characters of base64' })
}
