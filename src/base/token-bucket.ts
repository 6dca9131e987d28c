/** A token bucket: so many at once, and so many a second in the long run. */

export interface RateLimit {
  readonly tokensPerS: number
  readonly burst: number
}

export class TokenBucket {
  readonly #limit: RateLimit
  #tokens: number
  /** When `#tokens` was right. */
  #updatedAtMs: number

  /** Full. */
  constructor(limit: RateLimit, nowMs: number) {
    this.#limit = limit
    this.#tokens = limit.burst
    this.#updatedAtMs = nowMs
  }

  /** False if there are fewer: then none are taken. */
  tryTake(count: number, nowMs: number): boolean {
    this.#tokens = this.#tokensAt(nowMs)
    this.#updatedAtMs = nowMs
    if (this.#tokens < count) return false
    this.#tokens -= count
    return true
  }

  /** As if it had never been used. */
  isFull(nowMs: number): boolean {
    return this.#tokensAt(nowMs) >= this.#limit.burst
  }

  /** Until `count` are there, after tryTake did not give them. */
  waitMs(count: number): number {
    return ((count - this.#tokens) * 1000) / this.#limit.tokensPerS
  }

  #tokensAt(nowMs: number): number {
    const { burst, tokensPerS } = this.#limit
    return Math.min(burst, this.#tokens + ((nowMs - this.#updatedAtMs) * tokensPerS) / 1000)
  }
}
