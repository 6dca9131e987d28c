/**
 * When a search for a path pings the endpoints of the peer. Sans-IO.
 *
 * Whoever calls first only opens its NAT, by datagrams that live for a few hops; whoever is called does the
 * same and answers the call; the first pings are the caller's, on that answer. So no ping comes to a NAT that is
 * not open for it yet: some answer such a one, and take another port for what follows.
 */

/** The one that calls, the same when the answer comes, and the one that is called. */
export type SearchRole = 'caller' | 'answered' | 'called'

/** Of full pings, in ms after it began. Where no answer comes, the caller pings what it knew before. */
const FIRST_AT_MS: Readonly<Record<SearchRole, readonly number[]>> = {
  caller: [350, 750, 1500],
  answered: [0, 50, 150, 350, 750, 1500],
  called: [100, 200, 400, 800, 1500],
}
/**
 * The same once a search has failed, or beside a path that there is already. More pings would use up what may
 * stay unanswered, and none would be left when a fault is over.
 */
const RETRY_AT_MS: Readonly<Record<SearchRole, readonly number[]>> = {
  caller: [],
  answered: [0],
  called: [100],
}
/** A search is over so long after its last ping. */
const TAIL_MS = 500
/** While data flows and no direct path is known, it is tried again so often. */
const RETRY_INTERVAL_MS = 8000

export class SearchSchedule {
  #search: { readonly startedMs: number; readonly times: readonly number[]; step: number } | undefined
  #nextMs = 0

  get isRunning(): boolean {
    return this.#search !== undefined
  }

  /** None runs, and the last one is long enough ago. */
  isDue(nowMs: number): boolean {
    return this.#search === undefined && nowMs >= this.#nextMs
  }

  /** The path was lost: the next one begins at once, whatever runs. */
  allow(nowMs: number): void {
    this.#search = undefined
    this.#nextMs = nowMs
  }

  begin(role: SearchRole, isFirst: boolean, nowMs: number): void {
    const times = (isFirst ? FIRST_AT_MS : RETRY_AT_MS)[role]
    this.#search = { startedMs: nowMs, times, step: 0 }
    this.#nextMs = nowMs + RETRY_INTERVAL_MS
  }

  /** Infinity while none runs. */
  nextDeadlineMs(): number {
    if (this.#search === undefined) return Number.POSITIVE_INFINITY
    const { startedMs, times, step } = this.#search
    return startedMs + (times[step] ?? (times.at(-1) ?? 0) + TAIL_MS)
  }

  /** Ms since the search began, if pings are to be sent now. */
  takePings(nowMs: number): number | undefined {
    const search = this.#search
    const at = search?.times[search.step]
    if (search === undefined || at === undefined || nowMs < search.startedMs + at) return undefined
    search.step += 1
    return nowMs - search.startedMs
  }

  /** True if the search is over now. */
  takeEnd(nowMs: number): boolean {
    const search = this.#search
    if (search === undefined || search.step < search.times.length || nowMs < this.nextDeadlineMs())
      return false
    this.#search = undefined
    return true
  }
}
