/** `overlay hub status` and `audit`. */

import type { HubProcess, HubRelay, HubStatus } from '../../daemon/hub-schema.js'
import { formatHostEndpoint } from '../../net/endpoint.js'
import type { Command } from '../command.js'
import { askHub, schemaOf } from '../hub-client.js'
import { printJson, printLine } from '../output.js'
import { formatTable } from '../units.js'

export const status: Command = {
  name: 'status',
  positionals: '',
  about: 'how the hub is doing',
  options: {},
  examples: [['sudo overlay hub status', 'network, addresses, nodes, what was refused']],
  async run(input) {
    const question = { method: 'GET', path: '/v1/hub', answer: await schemaOf('hubStatus') } as const
    const answer = await askHub(input, question)
    if (input.output.isJson) printJson(answer)
    else printLine(formatHubStatus(answer))
    return 0
  },
}

function formatHubStatus(answer: HubStatus): string {
  const rows: [string, string][] = [
    ['network', `${answer.network}  ${answer.prefix4}  ${answer.prefix6}`],
    [
      'address',
      `${answer.address}:${answer.port}, STUN at UDP ports ${answer.stunPort} and ${answer.stunPort + 1}`,
    ],
    [
      'nodes',
      `${answer.nodes}, ${answer.online} online${answer.needsApproval ? '; new ones wait for approval' : ''}`,
    ],
    [
      'relay',
      `${answer.relayClients} connected, ${answer.counters['relay.forwarded'] ?? 0} frames forwarded; ${limitOf(answer)}`,
    ],
    ...(answer.keyChangeUntil === null
      ? []
      : [['key change', `the keys before count until ${answer.keyChangeUntil}`] as [string, string]]),
    ...answer.relays.map((relay): [string, string] => ['relay', formatRelay(relay)]),
    [
      'for relays',
      `overlay relay --hub ${answer.hubKey}@${formatHostEndpoint({ host: answer.address, port: answer.port })}`,
    ],
    ...answer.processes.map((one): [string, string] => [one.name, formatProcess(one)]),
  ]
  const { failure, hint, since, unsaved } = answer.store
  if (failure !== undefined) {
    rows.push(['store', `${failure}, since ${since ?? ''}: no node can join, ${unsaved} nodes are not saved`])
    rows.push(['', `hint: ${hint ?? ''}`])
  }
  if (answer.processes.length === 1) rows.push(['front', 'does not run: nobody gets in; see the log'])
  if (answer.needsConsent) rows.push(['consent', 'two nodes reach each other when both have said yes'])
  const odd = Object.entries(answer.counters).filter(
    ([name, value]) =>
      value > 0 &&
      /malformed|refused|turnedAway|crowdedOut|dropped|[lL]imited|ignored|overflow|notAllowed|junk|unknownNumber/.test(
        name,
      ),
  )
  if (odd.length > 0) rows.push(['refused', odd.map(([name, value]) => `${name} ${value}`).join(', ')])
  return rows.map(([label, value]) => `${label.padEnd(11)}${value}`).join('\n')
}

function limitOf({ relayLimitMbitS }: HubStatus): string {
  return relayLimitMbitS === null ? 'no limit of rate' : `each may send ${relayLimitMbitS} Mbit/s`
}

function formatRelay({ host, port, isConnected, isCurrent, heardAgoS }: HubRelay): string {
  const place = formatHostEndpoint({ host, port })
  if (!isConnected) return `${place} has no session with the hub: it goes on with what it heard last`
  return `${place} ${isCurrent ? 'knows all nodes' : 'has not heard of all nodes yet'}, heard ${heardAgoS} s ago`
}

function formatProcess({ pid, memoryBytes, cpuS, restarts }: HubProcess): string {
  const again = restarts === 0 ? '' : `, started again ${restarts} times`
  return `process ${pid}, ${Math.round(memoryBytes / 1e6)} MB, ${Math.round(cpuS)} s of processor time${again}`
}

export const audit: Command = {
  name: 'audit',
  positionals: '',
  about: 'what changed and when, newest first',
  options: {},
  examples: [['sudo overlay hub audit', 'the last thousand changes']],
  async run(input) {
    const question = { method: 'GET', path: '/v1/audit', answer: await schemaOf('auditEntries') } as const
    const answer = await askHub(input, question)
    if (input.output.isJson) printJson(answer)
    else printLine(formatTable(answer.map(({ at, event, subject, detail }) => [at, event, subject, detail])))
    return 0
  },
}
