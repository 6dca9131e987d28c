/**
 * What happened on the way to one peer: enough to tell a person why there is this path and no better one.
 * Codes are stable; programs match on them.
 */

import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import { isPrivate } from '../net/special-addresses.js'
import type { PathKind } from './candidates.js'
import type { Candidate } from './disco.js'
import type { OwnPosition } from './finder-types.js'
import { type HardPlan, isHard } from './hard-plan.js'
import type { Mapping } from './nat.js'

const MAX_EVENTS = 50

export interface PathEvent {
  readonly atMs: number
  readonly text: string
}

/** Why there is no direct path. */
export const WHY_CODES = [
  'NOT_TRIED',
  'SEARCHING',
  'PEER_SILENT',
  'UDP_BLOCKED_HERE',
  'UDP_BLOCKED_THERE',
  'BOTH_NATS_HARD',
  'NAT_HARD_HERE',
  'NAT_HARD_THERE',
  'FILTERED',
  'PATH_NARROW',
  'DATA_DROPPED',
  'LEADS_INTO_TUNNEL',
] as const
export type WhyCode = (typeof WHY_CODES)[number]

/** What is true of the way to the peer besides. */
export const WHY_NOTES = ['HANDSHAKES_DROPPED', 'STUN_DROPPED'] as const
export type WhyNote = (typeof WHY_NOTES)[number]

export interface Failure {
  readonly own: Pick<OwnPosition, 'candidates' | 'mapping' | 'isOverlay'>
  readonly peerMapping: Mapping
  readonly peerCandidates: readonly Candidate[]
}

export class PathRecord {
  #events: PathEvent[] = []
  #failure: WhyCode = 'NOT_TRIED'
  #probes = 0
  #searches = 0
  /** Why the last direct path was left though it answered: until one is found that carries data. */
  flaw: 'PATH_NARROW' | 'DATA_DROPPED' | undefined
  #areHandshakesDropped = false
  #searchStartMs: number | undefined
  #searchMs: number | undefined

  get events(): readonly PathEvent[] {
    return this.#events
  }

  get code(): WhyCode {
    return this.#failure
  }

  /** Pings sent in searches. */
  get probes(): number {
    return this.#probes
  }

  get searches(): number {
    return this.#searches
  }

  /** Of the latest success: ms from when the peer's candidates were known to the first answer. */
  get searchMs(): number | undefined {
    return this.#searchMs
  }

  /** Handshakes get lost on the direct path, and nothing else does. */
  get areHandshakesDropped(): boolean {
    return this.#areHandshakesDropped
  }

  get hasFailed(): boolean {
    return this.#searches > 0
  }

  /** The peer's candidates are known, and no path is there. */
  called(nowMs: number): void {
    this.#searchStartMs ??= nowMs
  }

  began(nowMs: number, candidates: number): void {
    this.#failure = 'SEARCHING'
    this.#add(nowMs, `began to try ${candidates} endpoints`)
  }

  probed(count: number): void {
    this.#probes += count
  }

  tried(nowMs: number, { technique, sockets, probes }: HardPlan): void {
    const amounts = [`${sockets} sockets`, `${probes} probes`].filter((text) => !text.startsWith('0 '))
    this.#add(nowMs, `tried a technique for hard NATs: ${technique}, ${amounts.join(' and ')}`)
  }

  filled(nowMs: number, sockets: number): void {
    this.#add(nowMs, `stopped at ${sockets} sockets: the router here keeps no more sessions`)
  }

  limited(nowMs: number, sessions: number): void {
    this.#add(nowMs, `the router here keeps few sessions: no more than ${sessions} are used`)
  }

  triedTcp(nowMs: number, endpoints: readonly Endpoint[]): void {
    this.#add(nowMs, `tried TCP to ${endpoints.map(formatEndpoint).join(' and ')}`)
  }

  moved(nowMs: number, kind: PathKind, remote: Endpoint): void {
    this.#searches = 0
    if (this.#searchStartMs !== undefined) this.#searchMs = nowMs - this.#searchStartMs
    this.#searchStartMs = undefined
    const where = kind === 'tcp' ? 'a TCP connection' : formatEndpoint(remote)
    this.#add(nowMs, `${where} answered: data goes there (${kind})`)
  }

  droppedHandshakes(nowMs: number, areDropped: boolean): void {
    if (areDropped === this.#areHandshakesDropped) return
    this.#areHandshakesDropped = areDropped
    const [what, where] = areDropped
      ? ['gets no handshake through', 'the relay']
      : ['gets handshakes through', 'it']
    this.#add(nowMs, `the direct path ${what}: they go over ${where}`)
  }

  lost(nowMs: number, reason: string): void {
    this.#add(nowMs, `${reason}: data goes over the relay`)
  }

  failed(nowMs: number, failure: Failure): void {
    this.#searches += 1
    const code = this.flaw ?? explain(failure)
    if (code !== this.#failure || this.#searches === 1) this.#add(nowMs, `no endpoint answered (${code})`)
    this.#failure = code
  }

  #add(atMs: number, text: string): void {
    this.#events.push({ atMs, text })
    if (this.#events.length > MAX_EVENTS) this.#events = this.#events.slice(-MAX_EVENTS)
  }
}

function explain({ own, peerMapping, peerCandidates }: Failure): WhyCode {
  if (peerCandidates.length === 0) return 'PEER_SILENT'
  // Before what servers say: those that lead into a tunnel as well are not asked.
  const addresses = peerCandidates.map(({ endpoint }) => endpoint.address)
  const publicOnes = addresses.filter((address) => !isPrivate(address))
  if ((publicOnes.length > 0 ? publicOnes : addresses).every(own.isOverlay)) return 'LEADS_INTO_TUNNEL'
  if (!isReachedByUdp(own.candidates, own.mapping)) return 'UDP_BLOCKED_HERE'
  if (!isReachedByUdp(peerCandidates, peerMapping)) return 'UDP_BLOCKED_THERE'
  const [isHere, isThere] = [isHard(own.mapping), isHard(peerMapping)]
  if (isHere && isThere) return 'BOTH_NATS_HARD'
  if (isHere) return 'NAT_HARD_HERE'
  if (isThere) return 'NAT_HARD_THERE'
  return 'FILTERED'
}

/** Some server saw it, so UDP comes through. */
export function isReachedByUdp(candidates: readonly Candidate[], mapping: Mapping): boolean {
  return mapping !== 'unknown' || candidates.some(({ kind }) => kind === 'reflexive' || kind === 'mapped')
}
