/**
 * Endpoints at which a peer may be reached, and how often each may still be tried: a peer can name a victim as
 * its endpoint, and must not make us send there for long.
 */

import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import { formatIp } from '../net/ip.js'
import { isWorthTrying } from './candidates.js'
import { type Candidate, MAX_CANDIDATES } from './disco.js'
import type { IsOverlay, OwnPosition } from './finder-types.js'

/** Unanswered pings to one endpoint within the span. */
const MAX_UNANSWERED = 16
const SPAN_MS = 60_000
/** Endpoints that a peer may name anew within the span: else it could name the same ones again, as if never tried. */
const MAX_NEW: number = 4 * MAX_CANDIDATES

/** A path that is too narrow for data is not tried again for so long. */
const NARROW_MS: number = 10 * 60_000
/** One that gets no data through at all: twice as long each time. */
const FIRST_DEAF_MS = 60_000
const MAX_DEAF_MS: number = 60 * 60_000
/** Addresses that are barred, whatever port the peer has there: it may be another one each time. */
const MAX_BARS = 64

interface Target {
  readonly endpoint: Endpoint
  /** A NAT of the peer that we have not seen open: it translates there for whom the peer has written to. */
  isBehindNat: boolean
  unanswered: number
  spanStartMs: number
}

interface Bar {
  readonly untilMs: number
  readonly pauseMs: number
}

export class Targets {
  readonly #targets = new Map<string, Target>()
  readonly #bars = new Map<string, Bar>()
  #named = 0
  #namedFromMs = Number.NEGATIVE_INFINITY

  get size(): number {
    return this.#targets.size
  }

  get endpoints(): Endpoint[] {
    return [...this.#targets.values()].map(({ endpoint }) => endpoint)
  }

  /** What the peer says of itself now replaces what it said before. */
  replace(
    candidates: readonly Candidate[],
    own: Pick<OwnPosition, 'prefixes' | 'isOverlay'>,
    nowMs: number,
  ): void {
    const before = new Map(this.#targets)
    this.#targets.clear()
    for (const { endpoint, kind } of candidates) {
      if (kind === 'tcp' || !isWorthTrying(endpoint, own)) continue
      const key = formatEndpoint(endpoint)
      const known = this.#targets.get(key) ?? before.get(key)
      if (known === undefined && !this.#mayName(nowMs)) continue
      const target = known ?? newTarget(endpoint, nowMs)
      const isOther = this.#targets.has(key) && !target.isBehindNat
      target.isBehindNat = kind === 'reflexive' && endpoint.address.family === 4 && !isOther
      this.#targets.set(key, target)
    }
  }

  #mayName(nowMs: number): boolean {
    if (nowMs - this.#namedFromMs > SPAN_MS) {
      this.#namedFromMs = nowMs
      this.#named = 0
    }
    this.#named += 1
    return this.#named <= MAX_NEW
  }

  /** Routes are others: no more pings into an overlay. */
  dropOverlays(isOverlay: IsOverlay): void {
    for (const [key, { endpoint }] of this.#targets)
      if (isOverlay(endpoint.address)) this.#targets.delete(key)
  }

  isBehindNat(endpoint: Endpoint): boolean {
    return this.#targets.get(formatEndpoint(endpoint))?.isBehindNat ?? false
  }

  /** Counts one more ping there; false if there were too many, or there are too many endpoints. */
  tryOnce(endpoint: Endpoint, nowMs: number): boolean {
    const key = formatEndpoint(endpoint)
    const known = this.#targets.get(key)
    if (this.isBarred(endpoint, nowMs)) return false
    if (known === undefined && this.#targets.size >= MAX_CANDIDATES) return false
    const target = known ?? newTarget(endpoint, nowMs)
    this.#targets.set(key, target)
    if (nowMs - target.spanStartMs > SPAN_MS) {
      target.spanStartMs = nowMs
      target.unanswered = 0
    }
    if (target.unanswered >= MAX_UNANSWERED) return false
    target.unanswered += 1
    return true
  }

  /** Pings come through there, and no data, or nothing that is long. */
  bar(endpoint: Endpoint, why: 'narrow' | 'deaf', nowMs: number): void {
    const key = formatIp(endpoint.address)
    const before = this.#bars.get(key)?.pauseMs ?? FIRST_DEAF_MS / 2
    const pauseMs = why === 'narrow' ? NARROW_MS : Math.min(MAX_DEAF_MS, 2 * before)
    this.#bars.delete(key)
    this.#bars.set(key, { untilMs: nowMs + pauseMs, pauseMs })
    const [oldest] = this.#bars.keys()
    if (this.#bars.size > MAX_BARS && oldest !== undefined) this.#bars.delete(oldest)
  }

  isBarred(endpoint: Endpoint, nowMs: number): boolean {
    return nowMs < (this.#bars.get(formatIp(endpoint.address))?.untilMs ?? 0)
  }

  /** Data comes through there. */
  unbar(endpoint: Endpoint): void {
    this.#bars.delete(formatIp(endpoint.address))
  }

  answered(endpoint: Endpoint): void {
    const target = this.#targets.get(formatEndpoint(endpoint))
    if (target !== undefined) target.unanswered = 0
  }
}

function newTarget(endpoint: Endpoint, nowMs: number): Target {
  return { endpoint, isBehindNat: false, unanswered: 0, spanStartMs: nowMs }
}
