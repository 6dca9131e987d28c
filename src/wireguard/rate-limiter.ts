/**
 * Handshake messages a second from one source, as a token bucket each (paper section 5.3). A source
 * is a v4 address or a v6 /64: whoever has one v6 address has them all.
 *
 * Bounded: a bucket that has filled up again says nothing and is removed; while all
 * MAX_SOURCES buckets are in use, new sources are refused and known ones served.
 */

import { type RateLimit, TokenBucket } from '../base/token-bucket.js'
import type { IpAddress } from '../net/ip.js'
import { type SourceKey, sourceOf } from '../net/source.js'

const HANDSHAKE_LIMIT: RateLimit = { tokensPerS: 20, burst: 5 }
/** About 2 MB. */
const MAX_SOURCES = 16_384

export class RateLimiter {
  readonly #buckets: Map<SourceKey, TokenBucket> = new Map()
  readonly #limit: RateLimit
  #nextSweepMs = Number.NEGATIVE_INFINITY

  constructor(limit: RateLimit = HANDSHAKE_LIMIT) {
    this.#limit = limit
  }

  /** Sources with a bucket. */
  get size(): number {
    return this.#buckets.size
  }

  /** Takes a token from the bucket of `source`; false if there is none. */
  isAllowed(source: IpAddress, nowMs: number): boolean {
    this.#sweep(nowMs)
    return this.#bucketOf(sourceOf(source), nowMs)?.tryTake(1, nowMs) === true
  }

  #bucketOf(key: SourceKey, nowMs: number): TokenBucket | undefined {
    const known = this.#buckets.get(key)
    if (known !== undefined) return known
    if (this.#buckets.size >= MAX_SOURCES) return undefined
    const full = new TokenBucket(this.#limit, nowMs)
    this.#buckets.set(key, full)
    return full
  }

  #sweep(nowMs: number): void {
    if (nowMs < this.#nextSweepMs) return
    // The time in which an empty bucket fills up: sweeping more often would find little.
    const { burst, tokensPerS } = this.#limit
    this.#nextSweepMs = nowMs + (burst / tokensPerS) * 1000
    for (const [key, bucket] of this.#buckets) {
      if (bucket.isFull(nowMs)) this.#buckets.delete(key)
    }
  }
}
