/**
 * When two nodes try TCP between them: where UDP does not come through. Sans-IO.
 *
 * An attempt first learns as whom servers see the port that it connects from. Both tell each other, and connect
 * to each other from these ports at the same time (RFC 9293 section 3.5, simultaneous open): each opens its
 * NAT for the other. Endpoints at which the peer listens are connected to as well. One attempt at a time; after
 * a failure not again for a while, for the same attempt would fail again.
 */

import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import type { FinderEffect } from './finder-types.js'
import type { PathRecord } from './path-record.js'

const ATTEMPT_MS = 4000
/** Between two attempts of this node's own, twice as long each time. */
const FIRST_PAUSE_MS = 10_000
const MAX_PAUSE_MS = 3_600_000
/** The peer may ask for one more often. */
const MIN_INTERVAL_MS = 10_000
/** Of one attempt: nobody is connected to in masses because a peer says so. */
const MAX_ENDPOINTS = 4

export class TcpAttempts {
  readonly #record: PathRecord
  #state: 'idle' | 'preparing' | 'ready' = 'idle'
  #own: readonly Endpoint[] = []
  readonly #dialled = new Set<string>()
  #beganMs = Number.NEGATIVE_INFINITY
  #nextMs = Number.NEGATIVE_INFINITY
  #pauseMs = FIRST_PAUSE_MS

  constructor(record: PathRecord) {
    this.#record = record
  }

  /** The peer may connect to us now. */
  get isReady(): boolean {
    return this.#state === 'ready'
  }

  /** Of the ports that this attempt connects from, as servers see them. */
  get ownEndpoints(): readonly Endpoint[] {
    return this.#own
  }

  /** Nothing happens while one runs, or so soon after the last one. */
  begin(isAskedFor: boolean, nowMs: number, effects: FinderEffect[]): void {
    const fromMs = isAskedFor ? this.#beganMs + MIN_INTERVAL_MS : this.#nextMs
    if (this.#state !== 'idle' || nowMs < fromMs) return
    this.#state = 'preparing'
    this.#beganMs = nowMs
    this.#nextMs = nowMs + this.#pauseMs
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.#pauseMs)
    effects.push({ kind: 'prepareTcp' })
  }

  /** Our ends as servers see them. False if the attempt is over already. */
  handleReady(own: readonly Endpoint[]): boolean {
    if (this.#state !== 'preparing') return false
    this.#state = 'ready'
    this.#own = own
    return true
  }

  /** Once it is ready: connects to those of the peer's endpoints that were not connected to in this attempt. */
  dial(endpoints: readonly Endpoint[], nowMs: number, effects: FinderEffect[]): void {
    if (this.#state !== 'ready') return
    const fresh = endpoints
      .filter((endpoint) => !this.#dialled.has(formatEndpoint(endpoint)))
      .slice(0, MAX_ENDPOINTS - this.#dialled.size)
    if (fresh.length === 0) return
    for (const endpoint of fresh) this.#dialled.add(formatEndpoint(endpoint))
    this.#record.triedTcp(nowMs, fresh)
    effects.push({ kind: 'dialTcp', endpoints: fresh })
  }

  nextDeadlineMs(): number {
    return this.#state === 'idle' ? Number.POSITIVE_INFINITY : this.#beganMs + ATTEMPT_MS
  }

  handleTimeout(nowMs: number, effects: FinderEffect[]): void {
    if (nowMs >= this.nextDeadlineMs()) this.end(effects)
  }

  /** Connections that carry no path are given up, if there is an attempt. */
  end(effects: FinderEffect[]): void {
    if (this.#state !== 'idle') effects.push({ kind: 'endTcp' })
    this.#state = 'idle'
    this.#own = []
    this.#dialled.clear()
  }

  /** A path was found, or the network is another one: the next attempt need not wait. */
  forgive(): void {
    this.#nextMs = Number.NEGATIVE_INFINITY
    this.#pauseMs = FIRST_PAUSE_MS
  }
}
