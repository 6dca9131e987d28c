/**
 * When a technique for hard NATs is begun, and for how long its sockets stay: after plain pings had their
 * chance, one at a time, and after a failure not again for a while.
 */

import type { Endpoint } from '../net/endpoint.js'
import { type HardPlan, needsRoom } from './hard-plan.js'
import { type HardEffect, HardSearch, type HardSearchOptions } from './hard-search.js'

/** Plain pings get so long before a technique begins. */
const DELAY_MS = 120
/** Between two attempts, twice as long each time. */
const FIRST_PAUSE_MS = 60_000
const MAX_PAUSE_MS = 3_600_000
/**
 * A large search takes both sides: nothing is sent before the other has begun, and if it does not within this time, that
 * is no failure.
 */
const ALONE_MS = 800
const MAX_ALONE = 6
/** An attempt and the one made anew after it take four, of which the second and the fourth go all the way. */
const MAX_SWEEPS = 4
const SWEEP_WINDOW_MS = 50_000
/** More than a round trip: what meets in that time is proven on both sides. */
const GRACE_MS = 600

export interface HardContext extends Omit<HardSearchOptions, 'plan' | 'peerAddresses' | 'isHeld'> {
  readonly peerEndpoints: readonly Endpoint[]
}

export class HardAttempts {
  #search: HardSearch | undefined
  #plan: HardPlan | undefined
  #atMs = Number.POSITIVE_INFINITY
  #graceMs = Number.POSITIVE_INFINITY
  #pauseMs = FIRST_PAUSE_MS
  #nextMs = 0
  #failures = 0
  #startedMs = 0
  #readyMs = Number.NEGATIVE_INFINITY
  #isJoined = false
  #alone = 0
  /** When sweeps were begun. */
  #sweeps: number[] = []
  /** What the peer told last of where it is to be met. */
  #told: HardPlan['meetAt']

  /** Techniques that came to nothing since the last that did not. */
  get failures(): number {
    return this.#failures
  }

  get isRunning(): boolean {
    return this.#search !== undefined
  }

  /**
   * What the peer has just learnt of its ports is used at once, though we pause: it is true for a moment only. So it
   * may not cost much, whatever a peer tells: few sockets, or a sweep of which there are only so many.
   */
  schedule(plan: HardPlan | undefined, nowMs: number): void {
    const search = this.#search
    const isCostly = plan !== undefined && plan.isAnew === true && plan.technique !== 'sweep'
    // Then it is kept for the next one.
    if (search === undefined ? isCostly && nowMs < this.#nextMs : !search.takesPorts) return
    const meetAt = this.#takeNews(plan)
    if (plan?.technique === 'sweep' && meetAt !== undefined && !this.#takeSweep(nowMs)) return
    if (meetAt !== undefined) search?.meetAt(meetAt, nowMs)
    if (plan === undefined || search !== undefined) return
    const isPassed = plan.technique === 'sweep' && plan.isAnew !== true && meetAt === undefined
    if (isPassed) return
    this.#plan = { ...plan, meetAt }
    if (meetAt !== undefined) this.#atMs = nowMs
    else if (nowMs >= this.#nextMs) this.#atMs = Math.min(this.#atMs, nowMs + DELAY_MS)
  }

  nextDeadlineMs(): number {
    const searchMs = this.#search?.nextDeadlineMs() ?? Number.POSITIVE_INFINITY
    const isAlone = this.#search !== undefined && needsRoom(this.#search.plan) && !this.#isJoined
    const aloneMs = isAlone ? this.#startedMs + ALONE_MS : Number.POSITIVE_INFINITY
    return Math.min(this.#atMs, this.#graceMs, searchMs, aloneMs)
  }

  /** The peer has begun a large search. True if one of ours is to begin now, though it paused. */
  handleReady(nowMs: number): boolean {
    this.#readyMs = nowMs
    this.#isJoined = true
    this.#search?.release(nowMs)
    if (this.#search !== undefined) return false
    if (this.#alone > 0) this.#nextMs = nowMs
    return nowMs >= this.#nextMs
  }

  /** The plan that is due now. */
  takeDue(nowMs: number): HardPlan | undefined {
    if (nowMs < this.#atMs) return undefined
    this.#atMs = Number.POSITIVE_INFINITY
    return this.#plan
  }

  begin(plan: HardPlan, context: HardContext, nowMs: number): void {
    this.#startedMs = nowMs
    // The peer may have begun a moment ago.
    this.#isJoined = nowMs - this.#readyMs < ALONE_MS
    const peerAddresses = context.peerEndpoints.map(({ address }) => address)
    const isHeld = needsRoom(plan) && !this.#isJoined
    this.#search = new HardSearch({ ...context, plan, peerAddresses, isHeld }, nowMs)
  }

  /** Gives the number of probes it sent; nothing happens if none runs. */
  run(input: (search: HardSearch, effects: HardEffect[]) => void, effects: HardEffect[]): number {
    const search = this.#search
    if (search === undefined) return 0
    const before = search.probes
    input(search, effects)
    return search.probes - before
  }

  /** A path was found, by whatever: all that meet by now are to stay open, for the two sides may have found different ones. */
  succeeded(nowMs: number): void {
    this.#atMs = Number.POSITIVE_INFINITY
    if (this.#search === undefined) return
    this.#search.stopSending()
    this.#graceMs = Math.min(this.#graceMs, nowMs + GRACE_MS)
  }

  /** The last one failed, and there is another technique: that does not wait. */
  goOn(nowMs: number): void {
    this.#nextMs = nowMs
    this.#pauseMs = Math.max(FIRST_PAUSE_MS, this.#pauseMs / 2)
  }

  /** If it is over: the plan that was carried out. */
  takeEnded(isDirect: boolean, nowMs: number): HardPlan | undefined {
    const search = this.#search
    if (search === undefined) return undefined
    const isAlone = needsRoom(search.plan) && !this.#isJoined
    const isGivenUp = isAlone && nowMs >= this.#startedMs + ALONE_MS
    if (!search.isDone && nowMs < this.#graceMs && !isGivenUp) return undefined
    this.#search = undefined
    this.#graceMs = Number.POSITIVE_INFINITY
    if (isAlone && !isDirect && this.#alone < MAX_ALONE) {
      this.#alone += 1
      this.#nextMs = nowMs + ALONE_MS * this.#alone
      return search.plan
    }
    this.#alone = 0
    this.#failures = isDirect ? 0 : this.#failures + 1
    if (isDirect) this.#pauseMs = FIRST_PAUSE_MS
    else if (search.plan.technique !== 'fresh' || this.#failures > 1) {
      this.#nextMs = nowMs + this.#pauseMs
      this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.#pauseMs)
    }
    return search.plan
  }

  #takeSweep(nowMs: number): boolean {
    this.#sweeps = this.#sweeps.filter((atMs) => nowMs - atMs < SWEEP_WINDOW_MS)
    if (this.#sweeps.length >= MAX_SWEEPS) return false
    this.#sweeps.push(nowMs)
    return true
  }

  /** The same call may be looked at again, and by then the ports in it are passed. */
  #takeNews(plan: HardPlan | undefined): HardPlan['meetAt'] {
    const [meetAt, told] = [plan?.meetAt, this.#told]
    if (meetAt === undefined || (meetAt[0] === told?.[0] && meetAt[1] === told[1])) return undefined
    this.#told = meetAt
    return meetAt
  }
}
