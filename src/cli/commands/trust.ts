/** `overlay trust`: who waits for a person's word on this node, and giving it or taking it back. */

import { UsageError } from '../../base/errors.js'
import type { TrustEntry, TrustReport } from '../../daemon/local-api-schema.js'
import type { Command, CommandInput } from '../command.js'
import { printJson, printLine, printNote } from '../output.js'
import { formatTable } from '../units.js'

const TIMEOUT_MS = 5000

const STATES: Readonly<Record<TrustEntry['state'], string>> = {
  waits: 'waits for your yes',
  refused: 'refused',
  agreed: 'both said yes; the hub has yet to bring it',
  asked: 'you said yes, it did not yet',
  trusted: 'trusted',
  gone: 'you said yes; the hub does not name it now',
  none: 'neither said yes',
}

export const trust: Command = {
  name: 'trust',
  positionals: '[node]',
  about: 'approve a node, or accept that one was set up again; without a name: list who waits',
  options: {
    interface: { about: 'the interface, where there is more than one', value: 'the only one' },
    revoke: { about: 'take the yes back: the two lose each other at once' },
  },
  examples: [
    ['sudo overlay trust', 'who waits, who was asked, who is trusted, and this node’s own identity'],
    ['sudo overlay trust planner', 'when its identity is the one that planner shows as its own'],
    ['sudo overlay trust planner --revoke', 'no more'],
  ],
  async run(input) {
    const [node] = input.words
    if (node !== undefined) await decide(input, node)
    else if (input.has('revoke')) throw new UsageError('overlay trust --revoke needs the name of a node')
    else await list(input)
    return 0
  },
}

async function list({ value, output }: CommandInput): Promise<void> {
  const report = await askReport(value('interface') ?? (await onlyNetwork()))
  if (output.isJson) printJson(report)
  else printLine(formatReport(report))
}

async function askReport(interfaceName: string): Promise<TrustReport> {
  const { trustReport } = await import('../../daemon/local-api-schema.js')
  const { callInterface } = await import('../running.js')
  const request = { method: 'GET', path: '/v1/trust', answer: trustReport, timeoutMs: TIMEOUT_MS } as const
  return await callInterface(interfaceName, request)
}

/** Interfaces that are part of a network. */
async function networks(): Promise<string[]> {
  const { askStatuses } = await import('../find-node.js')
  const statuses = await askStatuses()
  return statuses.filter(({ network }) => network !== null).map((status) => status.interface)
}

async function onlyNetwork(): Promise<string> {
  const names = await networks()
  const [name] = names
  if (name === undefined)
    throw new UsageError('no interface is part of a network', { hint: 'see: overlay join --help' })
  if (names.length === 1) return name
  throw new UsageError('which network?', { hint: `choose one: --interface ${names.join(' | ')}` })
}

/** Who waits for a yes is no peer yet: the reports know it too. */
async function findTrusted(
  word: string,
  interfaceName: string | undefined,
): Promise<{ interfaceName: string; name: string }> {
  const { tryFindNode } = await import('../find-node.js')
  const known = await tryFindNode(word, interfaceName)
  if (known?.peer.name != null) return { interfaceName: known.interfaceName, name: known.peer.name }
  const candidates = interfaceName === undefined ? await networks() : [interfaceName]
  const reports = await Promise.all(candidates.map(async (name) => ({ name, report: await askReport(name) })))
  const found = reports.filter(({ report }) => report.nodes.some(({ node }) => node === word))
  const [first] = found
  if (first !== undefined && found.length === 1) return { interfaceName: first.name, name: word }
  return { interfaceName: await onlyNetwork(), name: word }
}

function formatReport({ node, identity, isConsentNeeded, nodes }: TrustReport): string {
  const rows = nodes.map((entry) => [entry.node, entry.identity, withDetail(entry)])
  const own = [node, identity, 'this node: what the others compare']
  const policy = isConsentNeeded ? [] : ['the network does not ask for consent: the hub decides alone']
  return [formatTable([own, ...rows]), ...policy].join('\n')
}

async function decide(input: CommandInput, node: string): Promise<void> {
  const { trustEntry } = await import('../../daemon/local-api-schema.js')
  const { callInterface } = await import('../running.js')
  const { interfaceName, name } = await findTrusted(node, input.value('interface'))
  const body = { node: name, isRevoked: input.has('revoke') }
  const request = { method: 'POST', path: '/v1/trust', body, answer: trustEntry } as const
  const entry = await callInterface(interfaceName, { ...request, timeoutMs: TIMEOUT_MS })
  if (input.output.isJson) {
    printJson(entry)
    return
  }
  const done = body.isRevoked ? 'no longer has this node’s yes' : `is ${entry.identity}: ${withDetail(entry)}`
  printLine(`${entry.node} ${done}`)
  if (entry.state === 'asked') printNote('it has to say yes too; compare the two identities: overlay trust')
}

function withDetail({ state, detail }: TrustEntry): string {
  return detail === '' ? STATES[state] : `${STATES[state]}; ${detail}`
}
