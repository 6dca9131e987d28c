/**
 * Whose turn it is to search through hard NATs: one large search of a host at a time. Several at once would have
 * too few sockets each, fill the router's table, and fail all together. Sans-IO.
 */

/** Longer than any search, and what is measured before it. */
const LONGEST_MS = 6000

export class SearchTurns<T> {
  /** The first has the turn, once it was told. */
  readonly #queue: T[] = []
  #isTold = false
  #sinceMs = 0

  /** Infinity if nobody is to be told. */
  nextDeadlineMs(nowMs: number): number {
    if (this.#queue.length === 0) return Number.POSITIVE_INFINITY
    return this.#isTold ? this.#sinceMs + LONGEST_MS : nowMs
  }

  /** `isAwaited`: the peer is ready now, and may not be later. */
  ask(who: T, isAwaited: boolean): void {
    const at = this.#queue.indexOf(who)
    if (at === 0 || (at > 0 && !isAwaited)) return
    if (at > 0) this.#queue.splice(at, 1)
    if (isAwaited) this.#queue.splice(this.#isTold ? 1 : 0, 0, who)
    else this.#queue.push(who)
  }

  /** It is over, or not wanted any more. */
  end(who: T): void {
    const at = this.#queue.indexOf(who)
    if (at === 0) this.#isTold = false
    if (at >= 0) this.#queue.splice(at, 1)
  }

  /** Who is to be told that it is its turn, if anybody is. */
  takeNext(nowMs: number): T | undefined {
    if (this.#isTold && nowMs >= this.#sinceMs + LONGEST_MS) {
      this.#queue.shift()
      this.#isTold = false
    }
    const [next] = this.#queue
    if (this.#isTold || next === undefined) return undefined
    this.#isTold = true
    this.#sinceMs = nowMs
    return next
  }
}
