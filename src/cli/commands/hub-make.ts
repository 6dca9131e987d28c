/** `overlay hub init` and `overlay hub start`. */

import { networkInterfaces } from 'node:os'
import { UsageError } from '../../base/errors.js'
import { formatHostEndpoint } from '../../net/endpoint.js'
import type { Command } from '../command.js'
import { hubCommandOf, hubPathsOf, requireHubStopped } from '../hub-client.js'
import { DEFAULT_RATE_LIMIT, hostOf, listOf, portOf, rangeOf, rateLimitOf } from '../options.js'
import { printJson, printLine, printNote } from '../output.js'
import { FRONT_COMMAND } from './hub-front.js'
import { parseRelay } from './hub-relays.js'

const DEFAULT_PORT = 443
const DEFAULT_STUN_PORT = 3478

export const init: Command = {
  name: 'init',
  positionals: '[network]',
  about: 'make the hub of a new network; once',
  options: {
    address: { about: 'host name or address under which nodes reach it', value: 'this machine’s' },
    port: { about: 'TCP port of everything', value: `${DEFAULT_PORT}` },
    'stun-port': { about: 'first of two UDP ports for STUN', value: `${DEFAULT_STUN_PORT}` },
    'stun-address': { about: 'addresses for STUN, with commas; two tell more about a NAT', value: 'all' },
    relay: { about: 'other relays, as host:port:key, with commas', value: 'none' },
    range: { about: 'IPv4 addresses of the nodes', value: 'one inside 100.64.0.0/10 that is free here' },
    approve: { about: 'new nodes wait for approval' },
    consent: { about: 'two nodes reach each other only when both have said yes: overlay trust' },
  },
  examples: [['sudo overlay hub init home --address hub.example.org', 'then: sudo overlay hub start']],
  async run(input) {
    const { initHub, usedOf } = await import('../../daemon/hub-init.js')
    const [name = 'overlay'] = input.words
    const settings = {
      address: hostOf(input, 'address') ?? guessAddress(),
      port: portOf(input, 'port', DEFAULT_PORT),
      stunPort: portOf(input, 'stun-port', DEFAULT_STUN_PORT),
      stunAddresses: listOf(input.value('stun-address')),
      relays: listOf(input.value('relay')).map(parseRelay),
    }
    const range = rangeOf(input)
    const policy = { needsApproval: input.has('approve'), needsConsent: input.has('consent') }
    const paths = await hubPathsOf(input)
    const { prefix4 } = await initHub(paths, settings, { name, range, ...policy })
    const used = range === undefined ? [] : usedOf(range)
    if (used.length > 0) printNote(`warning: this machine uses addresses in it too: ${used.join(', ')}`)
    if (input.output.isJson) printJson({ network: name, range: prefix4, ...settings, state: paths.directory })
    else {
      const place = `nodes reach it at ${formatHostEndpoint({ host: settings.address, port: settings.port })} and get addresses in ${prefix4}`
      printLine(`hub of the network ${name}; ${place}; now: ${await hubCommandOf(input)} start`)
    }
    return 0
  },
}

export const start: Command = {
  name: 'start',
  positionals: '',
  about: 'run the hub, until it is ended',
  options: {
    'rate-limit': {
      about: 'Mbit/s that a node may send through the relay, or none',
      value: DEFAULT_RATE_LIMIT,
    },
  },
  examples: [['sudo overlay hub start', 'for service managers: configs/overlay-hub.service']],
  async run(input) {
    const { runHub } = await import('../../daemon/hub-process.js')
    await requireHubStopped(input)
    const command = await hubCommandOf(input)
    await runHub({
      paths: await hubPathsOf(input),
      isVerbose: input.output.isVerbose,
      maxBytesPerS: rateLimitOf(input),
      frontCommand: FRONT_COMMAND,
      onReady: (ready) => {
        if (input.output.isJson) printLine(JSON.stringify(ready))
        else printLine(`the hub of ${ready.network} runs; make a token: ${command} token create`)
      },
    })
    return 0
  },
}

/** The first address that is neither loopback nor of this link alone, v4 before v6. */
function guessAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const usable = all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
  const address = (usable.find(({ family }) => family === 'IPv4') ?? usable[0])?.address
  if (address !== undefined) return address
  throw new UsageError('this machine has no address', { hint: 'say where nodes reach it: --address HOST' })
}
