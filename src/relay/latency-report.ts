/**
 * What a node tells of its round trips to relays, and when. Sans-IO.
 *
 * Each report goes to every node that this one concerns: so noise is none, what happens at once becomes one
 * report, and over time there is one a minute. A few may follow each other sooner, so that peers do not
 * write for a minute to a relay that was left.
 */

import type { RelayRtts } from '../control/messages.js'
import { chooseHome } from './relay-choice.js'

/** Of one report. */
const MAX_RELAYS = 8
/** What was told is still true as long as it did not move by more than both. */
const TOLERANCE = 0.2
const TOLERANCE_MS = 10
/** What happens within this time is told as one. */
const SETTLE_MS = 1000
const INTERVAL_MS = 60_000
const BURST = 3

export class LatencyReport {
  #now: RelayRtts = {}
  #home: string | null = null
  #told: RelayRtts = {}
  #toldHome: string | null = null
  /** When there was news first that was not told; Infinity if there is none. */
  #newsMs = Number.POSITIVE_INFINITY
  /** The report after the last that is allowed is due then, if BURST − 1 of them went before their time. */
  #nextFreeMs = Number.NEGATIVE_INFINITY

  /** Key of the fastest relay; it moves only if that is worth it. */
  get home(): string | null {
    return this.#home
  }

  /** `rtts`: of the relays that are connected. */
  measured(rtts: RelayRtts, nowMs: number): void {
    this.#home = chooseHome(rtts, this.#home)
    const fastest = Object.entries(rtts).toSorted(([, a], [, b]) => a - b)
    this.#now = Object.fromEntries(fastest.slice(0, MAX_RELAYS).map(([key, ms]) => [key, Math.round(ms)]))
    this.#newsMs = this.#isNews() ? Math.min(this.#newsMs, nowMs) : Number.POSITIVE_INFINITY
  }

  nextDeadlineMs(): number {
    if (this.#newsMs === Number.POSITIVE_INFINITY) return this.#newsMs
    return Math.max(this.#newsMs + SETTLE_MS, this.#nextFreeMs - (BURST - 1) * INTERVAL_MS)
  }

  /** What is to be told now, if anything is. */
  takeDue(nowMs: number): RelayRtts | undefined {
    if (nowMs < this.nextDeadlineMs()) return undefined
    this.#nextFreeMs = Math.max(this.#nextFreeMs, nowMs) + INTERVAL_MS
    return this.takeAll()
  }

  /** What is true, for a hub that knows nothing yet. */
  takeAll(): RelayRtts {
    this.#told = this.#now
    this.#toldHome = this.#home
    this.#newsMs = Number.POSITIVE_INFINITY
    return this.#told
  }

  #isNews(): boolean {
    if (this.#home !== this.#toldHome) return true
    const keys = new Set([...Object.keys(this.#told), ...Object.keys(this.#now)])
    return [...keys].some((key) => {
      const before = this.#told[key]
      const now = this.#now[key]
      if (before === undefined || now === undefined) return true
      return Math.abs(now - before) > Math.max(TOLERANCE_MS, TOLERANCE * before)
    })
  }
}
