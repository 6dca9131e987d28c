/** `overlay relay`: forwards sealed messages for the nodes of one or more networks. */

import { resolve } from 'node:path'
import { UsageError } from '../../base/errors.js'
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
    hub: { about: 'relay keys of hubs whose nodes may use it, with commas', value: 'none' },
    allow: { about: 'identities that may use it without a hub, with commas', value: 'none' },
    'rate-limit': { about: 'Mbit/s that a node may send, or none', value: DEFAULT_RATE_LIMIT },
    state: { about: 'directory of its key', value: '/var/lib/overlay-relay' },
  },
  examples: [['sudo overlay relay --hub KEY', 'KEY: “relay key” of overlay hub status']],
  async run(input) {
    const { RELAY_STATE_DIRECTORY, runRelay } = await import('../../daemon/relay-process.js')
    const hubs = listOf(input.value('hub')).map(requireIdentity)
    const allowed = listOf(input.value('allow')).map(requireIdentity)
    if (hubs.length + allowed.length === 0) {
      throw new UsageError('this relay would let nobody in', { hint: 'give --hub KEY, or --allow IDENTITY' })
    }
    const { tryParseIdentity } = await import('../../control/identity.js')
    const keys = (texts: readonly string[]): Uint8Array[] =>
      texts.flatMap((text) => tryParseIdentity(text) ?? [])
    await runRelay({
      directory: resolve(input.value('state') ?? RELAY_STATE_DIRECTORY),
      port: portOf(input, 'port', DEFAULT_PORT),
      hubs: keys(hubs),
      allowed: keys(allowed),
      maxBytesPerS: rateLimitOf(input),
      isVerbose: input.output.isVerbose,
      onReady: ({ key, port }) => {
        if (input.output.isJson) printLine(JSON.stringify({ key, port }))
        else printLine(`the relay runs; for its hub: --relay HOST:${port}:${key}`)
      },
    })
    return 0
  },
}

function requireIdentity(text: string): string {
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return text
  throw new UsageError(`"${text}" is no key`, { hint: 'it is 44 characters of base64' })
}
