/**
 * Crosses hard NATs: what hard-search.ts can do, at the times that hard-attempts.ts gives, said in the words
 * of a path finder. Sans-IO.
 */

import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import type { Calls } from './calls.js'
import type { FinderEffect, OwnPosition } from './finder-types.js'
import { HardAttempts } from './hard-attempts.js'
import { type HardPlan, needsRoom, planWithin } from './hard-plan.js'
import type { HardEffect, HardSearch } from './hard-search.js'
import type { PathChoice } from './path-choice.js'
import type { PathRecord } from './path-record.js'
import type { PingBook } from './ping-book.js'
import type { Targets } from './targets.js'

export interface CrossingOptions {
  readonly random: RandomBytes
  readonly own: () => OwnPosition
  readonly calls: Calls
  readonly choice: PathChoice
  readonly pings: PingBook
  readonly record: PathRecord
  readonly targets: Targets
}

export class NatCrossing {
  readonly #options: CrossingOptions
  readonly #attempts = new HardAttempts()
  /** Waits for `askRoom`. */
  #waiting: HardPlan | undefined
  /** Of this host's large searches. */
  #turn: 'none' | 'asked' | 'taken' = 'none'
  #isAwaited = false
  /** By what the router here has left of sessions: another search at once would find even less. */
  #isLimited = false

  constructor(options: CrossingOptions) {
    this.#options = options
  }

  /** One of the two sides has said something new of itself, or plain pings have failed. */
  schedule(nowMs: number, havePingsFailed: boolean): void {
    const { calls, choice } = this.#options
    if (!choice.isFar) return
    const { failures } = this.#attempts
    const all = calls.isEitherHard ? failures : havePingsFailed ? 1 + failures : 0
    this.#attempts.schedule(calls.planHardSearch(all), nowMs)
  }

  /** The peer has begun a large search, which takes both. */
  handleReady(nowMs: number): void {
    if (this.#attempts.handleReady(nowMs)) this.#isAwaited = true
  }

  /** What `askTurn` asked for. */
  handleTurn(nowMs: number, effects: FinderEffect[]): void {
    const plan = this.#waiting
    this.#waiting = undefined
    this.#turn = 'taken'
    if (plan !== undefined && this.#options.choice.isFar) this.#prepare(plan, nowMs, effects)
    else this.#endTurn(effects)
  }

  /** What `askRoom` asked for: sessions that this search may begin, undefined if that could not be found out. */
  handleRoom(sessions: number | undefined, nowMs: number, effects: FinderEffect[]): void {
    const plan = this.#waiting
    this.#waiting = undefined
    if (plan !== undefined) this.#begin(plan, sessions, nowMs, effects)
  }

  /** What `openSockets` asked for is there. False if nobody wants it any more. */
  handleSockets(sockets: readonly number[], nowMs: number, effects: FinderEffect[]): boolean {
    if (!this.#attempts.isRunning) return false
    this.#run((search, list) => search.handleSockets(sockets, nowMs, list), nowMs, effects)
    return true
  }

  /** A datagram of STUN on a socket of a search. */
  handleStun(path: Path, bytes: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    this.#run((search, list) => search.handleDatagram(path, bytes, list), nowMs, effects)
  }

  /** A path was found, by whatever: called if none is needed any more. */
  succeeded(nowMs: number): void {
    this.#attempts.succeeded(nowMs)
  }

  nextDeadlineMs(): number {
    return this.#attempts.nextDeadlineMs()
  }

  handleTimeout(nowMs: number, effects: FinderEffect[]): void {
    const plan = this.#attempts.takeDue(nowMs)
    if (plan !== undefined) this.#prepare(plan, nowMs, effects)
    this.#run((search, list) => search.handleTimeout(nowMs, list), nowMs, effects)
  }

  close(effects: FinderEffect[]): void {
    if (this.#attempts.isRunning) effects.push({ kind: 'closeSockets' })
  }

  #prepare(plan: HardPlan, nowMs: number, effects: FinderEffect[]): void {
    if (needsRoom(plan) && this.#turn !== 'taken') {
      this.#waiting = plan
      this.#turn = 'asked'
      effects.push({ kind: 'askTurn', isAwaited: this.#isAwaited })
      this.#isAwaited = false
      return
    }
    const { maxSessions, mapping } = this.#options.own()
    const isRoomKnown = maxSessions !== undefined || mapping === 'none' || !needsRoom(plan)
    if (isRoomKnown) {
      this.#begin(plan, maxSessions ?? Number.POSITIVE_INFINITY, nowMs, effects)
      return
    }
    if (this.#waiting === undefined) effects.push({ kind: 'askRoom' })
    this.#waiting = plan
  }

  #begin(wanted: HardPlan, sessions: number | undefined, nowMs: number, effects: FinderEffect[]): void {
    const { random, own, calls, choice, pings, record, targets } = this.#options
    const { sockets, stunServer } = own()
    const peerEndpoints = calls.natEndpoints.filter((remote) => !targets.isBarred(remote, nowMs))
    const mainSocket = sockets.v4
    if (!choice.isFar || mainSocket === undefined || peerEndpoints.length === 0) {
      this.#endTurn(effects)
      return
    }
    const ping = pings.createShared(nowMs)
    const hasRoom = sessions !== undefined
    const plan = hasRoom ? planWithin(wanted, sessions) : wanted
    this.#attempts.begin(plan, { mainSocket, peerEndpoints, stunServer, hasRoom, ping, random }, nowMs)
    record.tried(nowMs, plan)
    if (this.#turn === 'taken') calls.send(nowMs, effects, { isSearching: true })
    this.#isLimited = plan.sockets < wanted.sockets || plan.probes < wanted.probes
    if (this.#isLimited) record.limited(nowMs, sessions ?? 0)
    if (plan.sockets > 0) effects.push({ kind: 'openSockets', count: plan.sockets })
  }

  #endTurn(effects: FinderEffect[]): void {
    if (this.#turn !== 'none') effects.push({ kind: 'endTurn' })
    this.#turn = 'none'
  }

  /** Nothing happens if no search runs. */
  #run(
    input: (search: HardSearch, effects: HardEffect[]) => void,
    nowMs: number,
    effects: FinderEffect[],
  ): void {
    const { calls, choice, record } = this.#options
    const list: HardEffect[] = []
    record.probed(this.#attempts.run(input, list))
    for (const effect of list) {
      if (effect.kind === 'tell') calls.send(nowMs, effects, { learnt: effect.ports })
      else effects.push(effect)
      if (effect.kind !== 'full') continue
      record.filled(nowMs, effect.sockets)
      this.#isLimited = true
    }
    const ended = this.#attempts.takeEnded(!choice.isFar, nowMs)
    if (ended === undefined) return
    this.#endTurn(effects)
    // What has failed is followed at once by what else there is.
    const isFresh = ended.technique === 'fresh'
    const next = isFresh ? undefined : calls.planHardSearch(this.#attempts.failures)
    const isOther = next?.technique !== ended.technique || (next.isAnew !== ended.isAnew && !this.#isLimited)
    if (next !== undefined && isOther) this.#attempts.goOn(nowMs)
    if (isFresh || next !== undefined) this.schedule(nowMs, isFresh)
    if (ended.sockets === 0) return
    effects.push({ kind: 'closeSockets' })
  }
}
