/** `overlay join`: makes this machine a node of a network. */

import { resolve } from 'node:path'
import { UsageError } from '../../base/errors.js'
import type { Command } from '../command.js'
import { rangeOf } from '../options.js'
import { printJson, printLine } from '../output.js'
import { interfaceNameOf } from '../tunnel-name.js'

export const join: Command = {
  name: 'join',
  positionals: '[token]',
  about: 'make this machine a node of a network, by a token of its hub',
  options: {
    name: { about: 'name of this node', value: 'from the machine’s' },
    file: { about: 'path of the tunnel file to write', value: '/etc/overlay/NETWORK.conf' },
    range: { about: 'confirm the network’s addresses, where they lie outside 100.64.0.0/10', value: 'range' },
    proxy: { about: 'HTTP proxy for hub and relays', value: 'from the environment' },
    'proxy-ca': { about: 'certificates, as PEM, by which a proxy with TLS is known', value: 'file' },
  },
  examples: [
    ['sudo overlay join ovl1_…', 'then: sudo overlay up NETWORK'],
    ['sudo overlay join < token.txt', 'reads the token from the standard input, so that nobody sees it'],
  ],
  async run(input) {
    const { words, value, output } = input
    const { readInput } = await import('../input.js')
    const { parseJoinToken } = await import('../../control/join-token.js')
    const { defaultFile, joinNetwork } = await import('../../daemon/network/join.js')
    const { nodeCrypto } = await import('../../wireguard/crypto-node.js')
    if (words.length === 0 && process.stdin.isTTY) {
      throw new UsageError('overlay join needs a token', {
        hint: 'on the hub, type: overlay hub token create',
      })
    }
    const token = parseJoinToken(nodeCrypto, words[0] ?? readInput())
    const file = resolve(value('file') ?? defaultFile(token.network))
    if (!file.endsWith('.conf')) throw new UsageError(`--file ${file} does not end in .conf`)
    interfaceNameOf(file)
    const ca = value('proxy-ca')
    const proxyCa = ca === undefined ? undefined : resolve(ca)
    const range = rangeOf(input)
    const proxy = value('proxy')
    const result = await joinNetwork({ token, file, name: value('name'), range, proxy, proxyCa })
    if (output.isJson) printJson(result)
    else {
      printLine(`${result.name} is a node of ${result.network} now: ${result.addresses.join(', ')}`)
      printLine(`wrote ${result.file}; now: sudo overlay up ${value('file') ?? result.interface}`)
    }
    return 0
  },
}
