/**
 * Answers of a network's name server (RFC 1035): `<name>.<network>.overlay` leads to a node's addresses, and
 * the way back. What is not of this network is for others to answer.
 */

import { type Answer, decode, encode, type Packet, type Question } from 'dns-packet'
import { formatIp, type IpAddress } from '../net/ip.js'

/** No IANA name; private use by convention of this program. */
const ROOT = 'overlay'
/** A node may come and go, and its address stays: a minute costs little and forgets soon. */
const TTL_S = 60
const REFUSED = 5
const NAME_ERROR = 3
const AUTHORITATIVE = 0x0400
const RECURSION_AVAILABLE = 0x0080
const RECURSION_DESIRED = 0x0100
const OPCODE_MASK = 0x7800
/** Without EDNS (RFC 1035 section 4.2.1). */
const MAX_QUERY_BYTES = 4096

export interface NamedNode {
  readonly name: string
  readonly v4: IpAddress
  readonly v6: IpAddress
}

export interface Zone {
  /** Name of the network. */
  readonly network: string
  readonly nodes: () => Iterable<NamedNode>
}

export function zoneDomain(network: string): string {
  return `${network}.${ROOT}`
}

/** As a socket gives it. */
export type DnsQuery = Parameters<typeof decode>[0]

export type DnsOutcome =
  | { readonly kind: 'answer'; readonly bytes: Uint8Array }
  /** It asks for something else. */
  | { readonly kind: 'forward' }
  /** No question at all. */
  | { readonly kind: 'ignore' }

export function answerDns(query: DnsQuery, zone: Zone): DnsOutcome {
  const packet = tryDecode(query)
  const [question] = packet?.questions ?? []
  if (packet === undefined || packet.type !== 'query' || question === undefined) return { kind: 'ignore' }
  const name = question.name.toLowerCase().replace(/\.$/, '')
  const domain = zoneDomain(zone.network)
  if (question.type === 'PTR') {
    const node = findByReverseName(name, zone)
    if (node === undefined) return { kind: 'forward' }
    return respond(
      packet,
      question,
      [{ type: 'PTR', name: question.name, ttl: TTL_S, data: `${node}.${domain}` }],
      0,
    )
  }
  if (name !== domain && !name.endsWith(`.${domain}`)) return { kind: 'forward' }
  const node = find(name.slice(0, -domain.length - 1), zone)
  if (node === undefined) return respond(packet, question, [], name === domain ? 0 : NAME_ERROR)
  return respond(packet, question, addressesOf(node, question), 0)
}

/** What a forwarder says when nobody else answers, or there is nobody else. */
export function failDns(query: DnsQuery): Uint8Array | undefined {
  const packet = tryDecode(query)
  const [question] = packet?.questions ?? []
  if (packet === undefined || question === undefined) return undefined
  const outcome = respond(packet, question, [], REFUSED)
  return outcome.kind === 'answer' ? outcome.bytes : undefined
}

function addressesOf(node: NamedNode, { name, type }: Question): Answer[] {
  const answers: Answer[] = []
  if (type === 'A') answers.push({ type: 'A', name, ttl: TTL_S, data: formatIp(node.v4) })
  if (type === 'AAAA') answers.push({ type: 'AAAA', name, ttl: TTL_S, data: formatIp(node.v6) })
  return answers
}

function respond(packet: Packet, question: Question, answers: Answer[], code: number): DnsOutcome {
  const flags = AUTHORITATIVE | RECURSION_AVAILABLE | ((packet.flags ?? 0) & RECURSION_DESIRED) | code
  const bytes = encode({ type: 'response', id: packet.id ?? 0, flags, questions: [question], answers })
  return { kind: 'answer', bytes: new Uint8Array(bytes) }
}

function tryDecode(query: DnsQuery): Packet | undefined {
  if (query.length > MAX_QUERY_BYTES) return undefined
  try {
    const packet = decode(query)
    return ((packet.flags ?? 0) & OPCODE_MASK) === 0 ? packet : undefined
  } catch {
    return undefined
  }
}

function find(name: string, zone: Zone): NamedNode | undefined {
  for (const node of zone.nodes()) if (node.name === name) return node
  return undefined
}

/** `4.3.2.1.in-addr.arpa` and its kin of v6 (RFC 3596 section 2.5). */
function findByReverseName(name: string, zone: Zone): string | undefined {
  for (const node of zone.nodes()) {
    if (name === reverseName(node.v4) || name === reverseName(node.v6)) return node.name
  }
  return undefined
}

function reverseName({ family, bytes }: IpAddress): string {
  if (family === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`
  const digits = [...bytes].flatMap((byte) => [byte >> 4, byte & 15])
  return `${digits
    .reverse()
    .map((digit) => digit.toString(16))
    .join('.')}.ip6.arpa`
}
