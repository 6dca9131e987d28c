/**
 * What the two nodes of a path have told each other of themselves, by calls over the relay, and what of the
 * peer's is worth trying. Sans-IO.
 */

import type { Endpoint } from '../net/endpoint.js'
import type { Path } from '../net/path.js'
import { isPrivate } from '../net/special-addresses.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { isWorthTrying, type PathKind, pathKindOf } from './candidates.js'
import type { Candidate, CandidateKind, DiscoMessage } from './disco.js'
import type { DiscoPair } from './disco-pair.js'
import type { FinderEffect, OwnPosition } from './finder-types.js'
import { type HardPlan, isHard, planHardSearch } from './hard-plan.js'
import type { Mapping } from './nat.js'
import type { PathChoice } from './path-choice.js'
import { isReachedByUdp } from './path-record.js'
import type { TcpAttempts } from './tcp-attempts.js'

/** A call is answered with one, but not for ever. */
const CALL_INTERVAL_MS = 5000

export type Call = Extract<DiscoMessage, { kind: 'call' }>

/** What a call says besides. */
export interface CallNews {
  readonly learnt?: readonly [low: number, high: number]
  readonly isSearching?: boolean
}

export interface CallsOptions {
  readonly pair: DiscoPair
  readonly random: RandomBytes
  readonly relayPath: Path
  /** TAI64N, each later than the one before. */
  readonly timestamp: () => Uint8Array
  readonly own: () => OwnPosition
  readonly choice: PathChoice
  readonly tcp: TcpAttempts
}

export class Calls {
  readonly #options: CallsOptions
  /** What the peer said last. */
  #heard: Call | undefined
  #lastSentMs = Number.NEGATIVE_INFINITY

  constructor(options: CallsOptions) {
    this.#options = options
  }

  // --- what the peer said ----------------------------------------------------------------------

  /** The peer has called by now. */
  get isHeard(): boolean {
    return this.#heard !== undefined
  }

  get peerMapping(): Mapping {
    return this.#heard?.mapping ?? 'unknown'
  }

  get peerCandidates(): readonly Candidate[] {
    return this.#heard?.candidates ?? []
  }

  /** Outside the peer's NAT, of IPv4: what techniques for hard NATs aim at. */
  get natEndpoints(): Endpoint[] {
    return this.#publicEndpoints('reflexive').filter(({ address }) => address.family === 4)
  }

  /** Where the peer takes TCP connections, or connects from. */
  get tcpEndpoints(): Endpoint[] {
    return this.#publicEndpoints('tcp')
  }

  /** Nobody answers over UDP, to us or to the peer. */
  get isUdpStopped(): boolean {
    const { candidates, mapping } = this.#options.own()
    const heard = this.#heard
    return (
      heard !== undefined &&
      !(isReachedByUdp(candidates, mapping) && isReachedByUdp(heard.candidates, heard.mapping))
    )
  }

  /** By what both have said: see planHardSearch. */
  planHardSearch(failures: number): HardPlan | undefined {
    return this.#heard && planHardSearch(this.#options.own(), this.#heard, failures)
  }

  /** One of the two sides is known to give each destination another port. */
  get isEitherHard(): boolean {
    return isHard(this.#options.own().mapping) || isHard(this.peerMapping)
  }

  /** Of a proven path over UDP. */
  kindOf(path: Path): PathKind {
    const { prefixes, mapping } = this.#options.own()
    return pathKindOf(
      path.remote,
      { candidates: this.peerCandidates, isOpen: this.peerMapping === 'none' },
      { prefixes, isOpen: mapping === 'none' },
    )
  }

  // --- inputs and commands ---------------------------------------------------------------------

  handle(call: Call): void {
    this.#heard = call
  }

  /** What comes now answers a call of ours, and is not to be answered. */
  isAnswered(nowMs: number): boolean {
    return nowMs - this.#lastSentMs <= CALL_INTERVAL_MS
  }

  /** `learnt`: ports of our NAT, as a bracket has just found them. `isSearching`: a large search begins. */
  send(nowMs: number, effects: FinderEffect[], { learnt, isSearching = false }: CallNews = {}): void {
    const { pair, random, relayPath, timestamp, own, choice, tcp } = this.#options
    const { candidates, mapping, isSequential, ports } = own()
    this.#lastSentMs = nowMs
    const call: Call = {
      kind: 'call',
      timestamp: timestamp(),
      mapping,
      ports: learnt ?? ports,
      isSequential,
      isLost: choice.isLost,
      triesTcp: tcp.isReady,
      isSearching,
      candidates: [
        ...tcp.ownEndpoints.map((endpoint) => ({ kind: 'tcp' as const, endpoint })),
        ...candidates,
      ],
    }
    effects.push({ kind: 'send', path: relayPath, bytes: pair.seal(call, random) })
  }

  #publicEndpoints(wanted: CandidateKind): Endpoint[] {
    const own = this.#options.own()
    return this.peerCandidates
      .filter(({ kind, endpoint }) => kind === wanted && isWorthTrying(endpoint, own))
      .map(({ endpoint }) => endpoint)
      .filter(({ address }) => !isPrivate(address))
  }
}
