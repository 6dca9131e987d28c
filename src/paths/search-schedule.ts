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
/**
 * Of datagrams that open our NAT and are to go no farther. The first leaves our router and dies at the next one: the
 * peer's may be no farther, and answers nothing yet. By the time of the second the caller has opened its own, so
 * that it may go farther: there may be a carrier's NAT behind our router.
 */
export const FIRST_HOPS = 2
export const SECOND_HOPS = 4
const OPENERS: Readonly<Record<SearchRole, readonly { readonly atMs: number; readonly hops: number }[]>> = {
  caller: [{ atMs: 0, hops: FIRST_HOPS }],
  answered: [],
  called: [
    { atMs: 0, hops: FIRST_HOPS },
    { atMs: 45, hops: SECOND_HOPS },
  ],
}
/** A search is over so long after its last ping. */
const TAIL_MS = 500
/** While data flows and no direct path is known, it is tried again so often. */
const RETRY_INTERVAL_MS = 8000
/** The same while the peer has not said anything yet: what carries calls may be slow. */
const UNHEARD_RETRY_INTERVAL_MS = 2500

export class SearchSchedule {
  #search:
    | {
        readonly role: SearchRole
        readonly startedMs: number
        readonly times: readonly number[]
        step: number
      }
    | undefined
  /** Of OPENERS, how many were sent. */
  #opened = 0
  #nextMs = 0

  get isRunning(): boolean {
    return this.#search !== undefined
  }

  /** One that has heard of the other side runs. */
  get isPinging(): boolean {
    return this.#search !== undefined && this.#search.role !== 'caller'
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

  /** `isHeard`: the peer has said something. */
  begin(role: SearchRole, isFirst: boolean, isHeard: boolean, nowMs: number): void {
    const times = (isFirst ? FIRST_AT_MS : RETRY_AT_MS)[role]
    this.#search = { role, startedMs: nowMs, times, step: 0 }
    this.#opened = 0
    this.#nextMs = nowMs + (isFirst && !isHeard ? UNHEARD_RETRY_INTERVAL_MS : RETRY_INTERVAL_MS)
  }

  /** Infinity while none runs. */
  nextDeadlineMs(): number {
    if (this.#search === undefined) return Number.POSITIVE_INFINITY
    const { role, startedMs, times, step } = this.#search
    const openerMs = OPENERS[role][this.#opened]?.atMs ?? Number.POSITIVE_INFINITY
    return startedMs + Math.min(openerMs, times[step] ?? (times.at(-1) ?? 0) + TAIL_MS)
  }

  /** For how many hops a datagram that opens our NAT is to live, if one is to be sent now. */
  takeOpener(nowMs: number): number | undefined {
    const search = this.#search
    const opener = search && OPENERS[search.role][this.#opened]
    if (search === undefined || opener === undefined || nowMs < search.startedMs + opener.atMs)
      return undefined
    this.#opened += 1
    return opener.hops
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
    const isAllSent =
      search !== undefined &&
      search.step >= search.times.length &&
      this.#opened >= OPENERS[search.role].length
    if (!isAllSent || nowMs < this.nextDeadlineMs()) return false
    this.#search = undefined
    return true
  }
}
