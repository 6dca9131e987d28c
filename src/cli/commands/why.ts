/** `overlay why`: what keeps a node from being reached better. */

import { AppError, ERROR_CODES } from '../../base/errors.js'
import type { WhyReport } from '../../daemon/local-api-schema.js'
import type { Command } from '../command.js'
import { printJson, printLine } from '../output.js'
import { formatTable } from '../units.js'

const TIMEOUT_MS = 5000

const NETWORK_OPTION = {
  interface: { about: 'the interface, where there is more than one', value: 'the only one' },
}

export const why: Command = {
  name: 'why',
  positionals: '<node>',
  about: 'tell why a node is reached over this path and no better one',
  options: NETWORK_OPTION,
  examples: [['sudo overlay why planner', 'what was tried, what came of it, and what would help']],
  async run({ words, value, output }) {
    const { whyReports } = await import('../../daemon/local-api-schema.js')
    const { findNode } = await import('../find-node.js')
    const { callInterface } = await import('../running.js')
    const [word = ''] = words
    const { interfaceName, peer } = await findNode(word, value('interface'))
    const request = { method: 'GET', path: '/v1/why', answer: whyReports, timeoutMs: TIMEOUT_MS } as const
    const reports = await callInterface(interfaceName, request)
    const report = reports.find(({ node }) => node === (peer.name ?? peer.publicKey))
    if (report === undefined)
      throw new AppError(ERROR_CODES.busy, `nothing is known of ${word} yet`, { hint: 'try once more' })
    if (output.isJson) printJson(report)
    else printLine(formatWhy(report, output.isVerbose))
    return 0
  },
}

function formatWhy(report: WhyReport, isVerbose: boolean): string {
  const { node, kind, endpoint, rttMs, relayRttMs, code, reason, help, events, probes } = report
  const rtt = rttMs === null ? '' : `, ${rttMs} ms`
  const relay = relayRttMs === null || kind === 'relay' ? '' : `; over the relay it was ${relayRttMs} ms`
  const lines = [
    `${node}: ${kind}${kind === 'relay' ? '' : ` to ${endpoint}`}${rtt}${relay}`,
    `${code}: ${reason}`,
  ]
  if (help !== '') lines.push(`what would help: ${help}`)
  for (const note of report.notes) lines.push(`${note.code}: ${note.text}`)
  if (isVerbose) {
    lines.push(
      `NAT here: ${report.ownMapping}; there: ${report.peerMapping}; ${probes} probes sent`,
      `we are at: ${report.ownCandidates.join(', ')}`,
      `it is at: ${report.peerCandidates.join(', ')}`,
    )
  }
  if (events.length > 0) lines.push(formatTable(events.map(({ agoS, text }) => [`  ${agoS} s ago`, text])))
  return lines.join('\n')
}
