/**
 * Times of messages within one reading of the clock: each later than the one before, by the smallest
 * step, so that "answered" and "unanswered" can be told from two times alone.
 */

const STEP_MS = 1 / 1024

export class OrderedClock {
  readonly #nowMs: () => number
  #batchMs = 0
  #lastMs = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Reads the clock: once per batch. */
  refresh(): void {
    this.#batchMs = this.#nowMs()
  }

  /** Good enough for ages of keypairs. */
  get batchMs(): number {
    return this.#batchMs
  }

  /** The time of one message. */
  next(): number {
    this.#lastMs = Math.max(this.#batchMs, this.#lastMs + STEP_MS)
    return this.#lastMs
  }
}
