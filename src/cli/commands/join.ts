/** `overlay join`: makes this machine a node of a network. */

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { AppError, ERROR_CODES, exitCodeFor, UsageError } from '../../base/errors.js'
import type { JoinResult } from '../../daemon/network/join.js'
import type { Command, CommandInput } from '../command.js'
import { rangeOf } from '../options.js'
import { printJson, printLine, printNote } from '../output.js'
import { interfaceNameOf } from '../tunnel-name.js'

export const join: Command = {
  name: 'join',
  positionals: '[token]',
  about:
    'make this machine a node of a network, by a token of its hub; the token comes by the standard input',
  options: {
    name: { about: 'name of this node', value: 'from the machine’s' },
    file: { about: 'path of the tunnel file to write', value: '/etc/overlay/NETWORK.conf' },
    wait: { about: 'where nodes have to be approved, or the hub has no room: until that is done' },
    range: { about: 'confirm the network’s addresses, where they lie outside 100.64.0.0/10', value: 'none' },
    'new-key': { about: 'believe the token’s hub key where this node knows another of this network' },
    proxy: { about: 'HTTP proxy for hub and relays', value: 'from the environment' },
    'proxy-ca': { about: 'certificates, as PEM, by which a proxy with TLS is known', value: 'the system’s' },
  },
  examples: [
    ['sudo overlay join < token.txt', 'then: sudo overlay up NETWORK'],
    ['sudo overlay join', 'asks for the token'],
    ['sudo overlay join ovl1_…', 'every user of this machine may see such a token'],
  ],
  async run(input) {
    const { value, has, output } = input
    const { parseJoinToken } = await import('../../control/join-token.js')
    const { joinNetwork } = await import('../../daemon/network/join.js')
    const { defaultFile } = await import('../../daemon/network/join-files.js')
    const { nodeCrypto } = await import('../../wireguard/crypto-node.js')
    const range = rangeOf(input)
    const proxy = value('proxy')
    if (proxy?.includes('@') === true)
      warnOfWords('the password of the proxy', 'the environment: https_proxy')
    const token = parseJoinToken(nodeCrypto, await tokenOf(input))
    const file = resolve(value('file') ?? defaultFile(token.network))
    if (!file.endsWith('.conf')) throw new UsageError(`--file ${file} does not end in .conf`)
    const interfaceName = interfaceNameOf(file)
    if (existsSync(file)) await requireDown(interfaceName)
    const ca = value('proxy-ca')
    let isTold = false
    let isBusyTold = false
    const result = await joinNetwork({
      token,
      file,
      range,
      proxy,
      name: value('name'),
      proxyCa: ca === undefined ? undefined : resolve(ca),
      isNewKeyTrusted: has('new-key'),
      isWaiting: has('wait'),
      onPending: (pending) => {
        if (!isTold && !output.isJson) printNote(`${pending.name} waits for approval: ${pending.hint}`)
        isTold = true
      },
      onBusy: ({ message }) => {
        if (!isBusyTold && !output.isJson) printNote(`${message}; this goes on by itself`)
        isBusyTold = true
      },
    })
    if (!output.isJson) for (const text of await conflictsOf(file)) printNote(`warning: ${text}`)
    if (output.isJson) printJson(result)
    else printResult(result, value('file') ?? result.interface)
    return result.state === 'pending' ? exitCodeFor(ERROR_CODES.pending) : 0
  },
}

async function conflictsOf(file: string): Promise<string[]> {
  const { parseTunnelFile } = await import('../../daemon/tunnel-file.js')
  const { findRangeConflicts } = await import('../../daemon/range-conflicts.js')
  return findRangeConflicts(parseTunnelFile(file).config)
}

/** `target`: what `overlay up` calls it. */
function printResult({ name, network, addresses, file, state, hint }: JoinResult, target: string): void {
  if (state === 'approved') {
    printLine(`${name} is a node of ${network} now: ${addresses.join(', ')}`)
    printLine(`wrote ${file}; now: sudo overlay up ${target}`)
    return
  }
  printLine(`${name} waits for approval: ${hint}`)
  printLine(`wrote ${file}; now: sudo overlay up ${target}, which goes on by itself when that is done`)
}

async function tokenOf({ words }: CommandInput): Promise<string> {
  const [word] = words
  if (word !== undefined) {
    warnOfWords('the token', 'the standard input: overlay join < FILE')
    return word
  }
  const { isTerminal, readInput, readTypedLine } = await import('../input.js')
  if (!isTerminal()) return readInput()
  printNote('paste the token that this printed on the hub: overlay hub token create')
  return readTypedLine()
}

function warnOfWords(secret: string, way: string): void {
  printNote(
    `warning: every user of this machine can see ${secret} among its processes (ps); better by ${way}`,
  )
}

/** A second session of the same node would end that of the interface, which waits by itself. */
async function requireDown(interfaceName: string): Promise<void> {
  const { listRunning } = await import('../running.js')
  const { running } = await listRunning()
  if (!running.some(({ record, isAlive }) => isAlive && record.interface === interfaceName)) return
  throw new AppError(ERROR_CODES.alreadyRunning, `${interfaceName} is up: it goes on by itself`, {
    hint: `see how it is doing: overlay status ${interfaceName}; to join anew, first: sudo overlay down ${interfaceName}`,
  })
}
