/** Why each node is reached as it is and no better, in plain words, from what was recorded. Pure. */

import { formatEndpoint } from '../../net/endpoint.js'
import type { Candidate } from '../../paths/disco.js'
import type { FinderStatus } from '../../paths/path-finder.js'
import type { WhyCode, WhyNote } from '../../paths/path-record.js'
import type { WhyReport } from '../local-api-schema.js'
import type { MembershipStatus } from './membership.js'
import { round } from './network-status.js'

const MAP_A_PORT =
  'let one of the two routers map a port (PCP, NAT-PMP or UPnP), or give one of the two machines IPv6 or a public address'

const WORDS: Readonly<Record<WhyCode, readonly [reason: string, help: string]>> = {
  NOT_TRIED: ['nothing was sent to it lately, so no path was looked for', 'send something: overlay ping'],
  SEARCHING: ['a direct path is being looked for now', ''],
  PEER_SILENT: ['it has not answered our call over relay or hub', 'look whether its overlay is up'],
  UDP_BLOCKED_HERE: [
    'no server answers this machine over UDP: a firewall here lets none through',
    'let UDP out of this network, to any port',
  ],
  UDP_BLOCKED_THERE: [
    'no server answers that machine over UDP: a firewall there lets none through',
    'let UDP out of its network, to any port',
  ],
  BOTH_NATS_HARD: [
    'both routers give each destination another port (“symmetric” NAT), so neither side can tell where to write',
    MAP_A_PORT,
  ],
  NAT_HARD_HERE: ['the router here gives each destination another port (“symmetric” NAT)', MAP_A_PORT],
  NAT_HARD_THERE: ['the router there gives each destination another port (“symmetric” NAT)', MAP_A_PORT],
  PATH_NARROW: [
    'short messages come through directly and full ones do not: a link on the way has a small MTU',
    'set a smaller MTU on both nodes, such as MTU = 1280 in [Interface]',
  ],
  DATA_DROPPED: [
    'probes come through directly and WireGuard’s messages do not: a firewall on the way recognises and drops them',
    'let UDP between the two through; until then data goes over TCP or the relay',
  ],
  LEADS_INTO_TUNNEL: [
    'the routes of this machine lead to all addresses of it through a tunnel, and no path goes inside a tunnel',
    'give them a way of their own; see where they go: ip route get ADDRESS',
  ],
  FILTERED: [
    'both sides can use UDP, but nothing came through between them: a firewall on the way drops it',
    'let UDP between the two through, or let one router map a port',
  ],
}

const NOTES: Readonly<Record<WhyNote, string>> = {
  HANDSHAKES_DROPPED:
    'a firewall on the direct path recognises WireGuard’s handshakes and drops them: they go over the relay, data goes directly',
  STUN_DROPPED: 'a firewall here recognises STUN and drops it: servers are asked in another form, and answer',
}

export function explainNodes(status: MembershipStatus, nowMs: number): WhyReport[] {
  return status.nodes.flatMap((node) => {
    const finder = status.pathOf(node.tunnelKey)
    return finder === undefined ? [] : [explain(node.name, finder, status, nowMs)]
  })
}

function explain(node: string, finder: FinderStatus, status: MembershipStatus, nowMs: number): WhyReport {
  const { record, kind } = finder
  const isDirect = kind !== 'relay'
  const code = isDirect && kind !== 'tcp' ? 'DIRECT' : finder.isSearching ? 'SEARCHING' : record.code
  const [words, help] = code === 'DIRECT' ? ['there is a direct path', ''] : WORDS[code]
  const reason = kind === 'tcp' ? `there is a direct path over TCP, and none over UDP: ${words}` : words
  return {
    node,
    kind,
    endpoint: isDirect ? formatEndpoint(status.endpointOf(finder)) : 'relay',
    rttMs: round(finder.rttMs),
    relayRttMs: round(finder.relayRttMs),
    code,
    reason,
    help,
    notes: notesOf(finder, status).map((note) => ({ code: note, text: NOTES[note] })),
    ownMapping: status.own.mapping,
    peerMapping: finder.peerMapping,
    ownCandidates: status.own.candidates.map(describe),
    peerCandidates: finder.peerCandidates.map(describe),
    probes: record.probes,
    searchMs: round(record.searchMs),
    events: record.events.map(({ atMs, text }) => ({ agoS: Math.round((nowMs - atMs) / 100) / 10, text })),
  }
}

function notesOf({ record, kind }: FinderStatus, { own }: MembershipStatus): WhyNote[] {
  const notes: WhyNote[] = []
  if (record.areHandshakesDropped && kind !== 'relay') notes.push('HANDSHAKES_DROPPED')
  if (own.isStunDropped) notes.push('STUN_DROPPED')
  return notes
}

function describe({ kind, endpoint }: Candidate): string {
  return `${formatEndpoint(endpoint)} (${kind})`
}
