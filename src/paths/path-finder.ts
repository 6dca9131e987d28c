/**
 * Finds the best path to one peer, and notices when it is gone. Sans-IO.
 *
 * The relay carries data from the first packet on. Beside it a search runs: both sides tell each other their
 * candidates in a call and ping all of them at the same times, so that each opens its NAT for the other.
 * A path is proven by the answer to a sealed ping; data moves when a better one is. While data goes out and
 * nothing comes back, the path is pinged; if that stays unanswered too, data goes over the relay at once
 * and the search begins anew.
 */

import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { isPrivate, isWorthTrying, type PathKind, pathKindOf } from './candidates.js'
import type { Candidate, DiscoMessage } from './disco.js'
import type { DiscoPair } from './disco-pair.js'
import { type FinderEffect, lastUseOf, type OwnPosition, type PeerActivity } from './finder-types.js'
import { HardAttempts } from './hard-attempts.js'
import { type HardEffect, type HardPlan, type HardSearch, planHardSearch } from './hard-search.js'
import { isBetter, type KnownPath, KnownPaths, keyOf, smooth } from './known-paths.js'
import { heartbeatMs, Liveness } from './liveness.js'
import type { Mapping } from './nat.js'
import { isReachedByUdp, PathRecord } from './path-record.js'
import { PingBook } from './ping-book.js'
import { type SearchRole, SearchSchedule } from './search-schedule.js'
import { Targets } from './targets.js'
import { TcpAttempts } from './tcp-attempts.js'

/** Where a firewall is known to stop UDP, TCP is tried so long after a search began; else when it has failed. */
const TCP_AFTER_MS = 350
/** Of datagrams that open our NAT and go no farther: not the same each time, for ways and NATs differ. */
const OPENER_HOPS = [4, 6, 3] as const
const OPENER_INTERVAL_MS = 500
/** A call is answered with one, but not for ever. */
const CALL_INTERVAL_MS = 5000
/** Data has flowed so recently that the path is kept open. */
const USE_MS = 120_000
/** Data that waits counts as flowing for so long. */
const WANTED_MS = 10_000
/** How often it is looked up whether data flows. */
const CHECK_INTERVAL_MS = 50
const IDLE_CHECK_INTERVAL_MS = 500
const RELAY_PING_INTERVAL_MS = 5000
/** A path that is so late with an answer is not believed in any more. */
const PROOF_GRACE_MS = 21_000
/** An endpoint that pings us is challenged, but not for each of its pings. */
const CHALLENGE_INTERVAL_MS = 60
/** A pong within this time, and two round trips, is newer than what a call says. */
const FRESH_MS = 50
const WIDE_TRIES = 4
const WIDE_INTERVAL_MS = 300

export interface FinderOptions {
  readonly pair: DiscoPair
  readonly random: RandomBytes
  readonly relayPath: Path
  readonly own: () => OwnPosition
  readonly activity: () => PeerActivity | undefined
}

type Call = Extract<DiscoMessage, { kind: 'call' }>

export interface FinderStatus {
  readonly kind: PathKind
  readonly path: Path
  readonly rttMs: number | undefined
  readonly relayRttMs: number | undefined
  /** 0 to 1. */
  readonly loss: number
  readonly sinceMs: number
  readonly isSearching: boolean
  readonly peerMapping: Mapping
  readonly peerCandidates: readonly Candidate[]
  readonly record: PathRecord
}

export class PathFinder {
  readonly #options: FinderOptions
  readonly #pings: PingBook
  readonly #paths = new KnownPaths()
  readonly #targets = new Targets()
  readonly #liveness = new Liveness()
  readonly #hard = new HardAttempts()
  readonly #tcp = new TcpAttempts()
  readonly #record = new PathRecord()
  readonly #relayKey: string
  #active: KnownPath | undefined
  #hasBeenDirect = false
  #activeSinceMs: number
  readonly #search = new SearchSchedule()
  #openers = 0
  #lastOpenerMs = Number.NEGATIVE_INFINITY
  #lastCallMs = Number.NEGATIVE_INFINITY
  /** What the peer said of itself last. */
  #call: Call | undefined
  #relayRttMs: number | undefined
  #lastRelayPingMs = Number.NEGATIVE_INFINITY
  #lastCheckMs = Number.NEGATIVE_INFINITY
  #wantedMs = Number.NEGATIVE_INFINITY

  constructor(options: FinderOptions, nowMs: number) {
    this.#options = options
    this.#pings = new PingBook(options.pair, options.random)
    this.#relayKey = keyOf(options.relayPath)
    this.#activeSinceMs = nowMs
  }

  status(): FinderStatus {
    const active = this.#active
    return {
      kind: active?.kind ?? 'relay',
      path: active?.path ?? this.#options.relayPath,
      rttMs: active?.rttMs ?? this.#relayRttMs,
      relayRttMs: this.#relayRttMs,
      loss: active?.loss ?? 0,
      sinceMs: this.#activeSinceMs,
      isSearching: this.#search.isRunning,
      peerMapping: this.#peerMapping,
      peerCandidates: this.#call?.candidates ?? [],
      record: this.#record,
    }
  }

  /** Data goes over the relay, or over TCP: a path over UDP would be better. */
  get #isFar(): boolean {
    return this.#active === undefined || this.#active.kind === 'tcp'
  }

  get #peerMapping(): Mapping {
    return this.#call?.mapping ?? 'unknown'
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** An authentic message of the peer. */
  handleMessage(path: Path, message: DiscoMessage, nowMs: number, effects: FinderEffect[]): void {
    switch (message.kind) {
      case 'ping':
        this.#handlePing(path, message.transactionId, nowMs, effects)
        break
      case 'pong':
        this.#handlePong(path, message.transactionId, nowMs, effects)
        break
      case 'call':
        // Only what came over relay or hub: on a direct path it could be made to come from anywhere.
        if (keyOf(path) === this.#relayKey) this.#handleCall(message, nowMs, effects)
        break
    }
  }

  /** This node's own candidates changed: a peer that is talked to should know. */
  handleOwnChanged(nowMs: number, effects: FinderEffect[]): void {
    if (!this.#isInUse(nowMs)) return
    this.#startSearch(nowMs, effects)
    this.#scheduleHard(nowMs)
  }

  /** Data waits to be sent: the search need not wait until some is seen to flow. */
  handleWanted(nowMs: number, effects: FinderEffect[]): void {
    this.#wantedMs = nowMs
    if (this.#active === undefined && this.#search.isDue(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** A link or an address of this machine changed: the active path may be gone without a sign. */
  handleNetworkChanged(nowMs: number, effects: FinderEffect[]): void {
    this.#tcp.forgive()
    if (this.#active !== undefined) {
      this.#liveness.suspect(nowMs)
      this.#watch(this.#active, nowMs, effects)
    }
    if (this.#isInUse(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** What `openSockets` asked for is there. */
  handleSockets(sockets: readonly number[], nowMs: number, effects: FinderEffect[]): void {
    this.#runHard((search, list) => search.handleSockets(sockets, nowMs, list), nowMs, effects)
  }

  /** A datagram of STUN on a socket of a search. */
  handleStun(path: Path, bytes: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    this.#runHard((search, list) => search.handleDatagram(path, bytes, list), nowMs, effects)
  }

  /**
   * A socket of a search is a data socket now, under another number. A ping tells the peer, which may have
   * missed something while it changed hands.
   */
  handleAdopted(before: number, after: number, nowMs: number, effects: FinderEffect[]): void {
    for (const { path } of this.#paths.renumber(before, after)) this.#ping(path, nowMs, effects)
  }

  /** What `prepareTcp` asked for: our ends as servers see them, none if no server answered. */
  handleTcpReady(own: readonly Endpoint[], nowMs: number, effects: FinderEffect[]): void {
    if (!this.#tcp.handleReady(own)) return
    this.#sendCall(nowMs, effects)
    this.#dialTcp(nowMs, effects)
  }

  /** A TCP connection that `dialTcp` asked for. */
  handleStream(path: Path, nowMs: number, effects: FinderEffect[]): void {
    this.#ping(path, nowMs, effects)
  }

  /** A TCP connection has ended. */
  handleStreamClosed(path: Path, nowMs: number, effects: FinderEffect[]): void {
    const known = this.#paths.get(path)
    if (known === undefined) return
    this.#paths.drop(known)
    if (this.#active !== known) return
    this.#useRelay(nowMs, 'the TCP connection was closed', effects)
    this.#startSearch(nowMs, effects)
  }

  /** Our sockets are others: nothing known leads anywhere. */
  handleSocketsChanged(nowMs: number, effects: FinderEffect[]): void {
    for (const path of this.#paths.all) this.#drop(path, effects)
    this.#pings.clear()
    this.#useRelay(nowMs, 'the sockets of this node changed', effects)
    if (this.#isInUse(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** The peer is none any more: gives back the sockets that were its own. */
  close(effects: FinderEffect[]): void {
    for (const path of this.#paths.all) this.#drop(path, effects)
    if (this.#hard.isRunning) effects.push({ kind: 'closeSockets' })
    if (this.#tcp.end()) effects.push({ kind: 'endTcp' })
  }

  nextDeadlineMs(nowMs: number): number {
    return Math.min(this.#ordinaryDeadlineMs(nowMs), this.#hard.nextDeadlineMs(), this.#tcp.nextDeadlineMs())
  }

  #ordinaryDeadlineMs(nowMs: number): number {
    if (this.#liveness.isSuspect) return this.#liveness.nextDeadlineMs()
    // Whether data flows must be looked up: seldom where it has not for long.
    const checkMs = this.#lastCheckMs + (this.#isInUse(nowMs) ? CHECK_INTERVAL_MS : IDLE_CHECK_INTERVAL_MS)
    return Math.min(checkMs, this.#search.nextDeadlineMs())
  }

  handleTimeout(nowMs: number, effects: FinderEffect[]): void {
    this.#lastCheckMs = nowMs
    for (const key of this.#pings.takeLate(nowMs)) this.#paths.lost(key)
    for (const path of this.#paths.silent(nowMs, this.#active)) this.#drop(path, effects)
    const plan = this.#hard.takeDue(nowMs)
    if (plan !== undefined) this.#beginHard(plan, nowMs, effects)
    this.#runHard((search, list) => search.handleTimeout(nowMs, list), nowMs, effects)
    this.#continueSearch(nowMs, effects)
    if (this.#tcp.handleTimeout(nowMs)) effects.push({ kind: 'endTcp' })
    if (!this.#isInUse(nowMs)) {
      const proofMs = heartbeatMs(this.#options.own().lifetimeMs) + PROOF_GRACE_MS
      if (this.#active !== undefined && nowMs - this.#active.lastPongMs > proofMs) {
        this.#useRelay(nowMs, 'nothing was sent for a while, so the path was given up', effects)
      }
      return
    }
    if (this.#active !== undefined) this.#watch(this.#active, nowMs, effects)
    if (!this.#isFar) return
    if (this.#search.isDue(nowMs)) this.#startSearch(nowMs, effects)
    this.#pingRelay(nowMs, effects)
  }

  // --- search ----------------------------------------------------------------------------------

  /** Calls; the peer's answer begins the rest. */
  #startSearch(nowMs: number, effects: FinderEffect[]): void {
    this.#sendCall(nowMs, effects)
    this.#beginSearch('caller', nowMs, effects)
  }

  #beginSearch(role: SearchRole, nowMs: number, effects: FinderEffect[]): void {
    this.#search.begin(role, this.#active === undefined && !this.#record.hasFailed, nowMs)
    if (role !== 'answered') this.#openNat(nowMs, effects)
    this.#continueSearch(nowMs, effects)
  }

  #continueSearch(nowMs: number, effects: FinderEffect[]): void {
    for (let at = this.#search.takePings(nowMs); at !== undefined; at = this.#search.takePings(nowMs)) {
      if (at >= TCP_AFTER_MS && this.#isUdpStopped()) this.#beginTcp(false, nowMs, effects)
      for (const path of this.#targetPaths()) this.#try(path, nowMs, effects)
    }
    if (!this.#search.takeEnd(nowMs) || !this.#isFar) return
    const { peerMapping, peerCandidates } = this.status()
    this.#record.failed(nowMs, { own: this.#options.own(), peerMapping, peerCandidates })
    this.#beginTcp(false, nowMs, effects)
  }

  /** What has no NAT before it on the way is pinged at once. */
  #openNat(nowMs: number, effects: FinderEffect[]): void {
    if (nowMs - this.#lastOpenerMs < OPENER_INTERVAL_MS) return
    this.#lastOpenerMs = nowMs
    const hops = OPENER_HOPS[this.#openers % OPENER_HOPS.length]
    this.#openers += 1
    for (const path of this.#targetPaths()) {
      const { address } = path.remote
      if (address.family === 6 || isPrivate(address)) this.#try(path, nowMs, effects)
      else effects.push({ kind: 'send', path, bytes: this.#pings.createOpener(), hops })
    }
  }

  #targetPaths(): Path[] {
    const { v4, v6 } = this.#options.own().sockets
    return this.#targets.endpoints.flatMap((remote) => {
      const socket = remote.address.family === 4 ? v4 : v6
      return socket === undefined ? [] : [{ socket, remote, local: undefined }]
    })
  }

  /** `learnt`: ports of our NAT, as a bracket has just found them. */
  #sendCall(nowMs: number, effects: FinderEffect[], learnt?: readonly [low: number, high: number]): void {
    const { pair, random, relayPath, own } = this.#options
    const { candidates, mapping, isSequential, ports } = own()
    this.#lastCallMs = nowMs
    const call: Call = {
      kind: 'call',
      mapping,
      ports: learnt ?? ports,
      isSequential,
      isLost: this.#active === undefined && this.#hasBeenDirect,
      triesTcp: this.#tcp.isReady,
      candidates: [
        ...this.#tcp.ownEndpoints.map((endpoint) => ({ kind: 'tcp' as const, endpoint })),
        ...candidates,
      ],
    }
    effects.push({ kind: 'send', path: relayPath, bytes: pair.seal(call, random) })
  }

  #handleCall(call: Call, nowMs: number, effects: FinderEffect[]): void {
    this.#call = call
    const active = this.#active
    if (active === undefined) this.#record.called(nowMs)
    // To them the path is dead, so what we send there is not answered: theirs to notice, ours to believe.
    // A call that was under way when the path was found again is old news.
    else if (call.isLost && nowMs - active.lastPongMs > 2 * active.rttMs + FRESH_MS) {
      this.#drop(active, effects)
      this.#useRelay(nowMs, 'the peer has lost the path', effects)
    }
    this.#scheduleHard(nowMs)
    const before = this.#targets.size
    const own = this.#options.own().prefixes.map(({ address }) => address)
    this.#targets.replace(call.candidates, own, nowMs)
    if (before === 0 && this.#targets.size > 0) this.#record.began(nowMs, this.#targets.size)
    const isAnswer = nowMs - this.#lastCallMs <= CALL_INTERVAL_MS
    if (!isAnswer) this.#sendCall(nowMs, effects)
    this.#beginSearch(isAnswer ? 'answered' : 'called', nowMs, effects)
    if (!call.triesTcp) return
    this.#beginTcp(true, nowMs, effects)
    this.#dialTcp(nowMs, effects)
  }

  // --- TCP -------------------------------------------------------------------------------------

  /** Nobody answers over UDP, to us or to the peer. */
  #isUdpStopped(): boolean {
    const { candidates, mapping } = this.#options.own()
    const call = this.#call
    return (
      call !== undefined &&
      !(isReachedByUdp(candidates, mapping) && isReachedByUdp(call.candidates, call.mapping))
    )
  }

  #beginTcp(isAskedFor: boolean, nowMs: number, effects: FinderEffect[]): void {
    if (this.#active !== undefined || this.#call === undefined) return
    if (this.#tcp.begin(isAskedFor, nowMs)) effects.push({ kind: 'prepareTcp' })
  }

  #dialTcp(nowMs: number, effects: FinderEffect[]): void {
    const own = this.#options.own().prefixes.map(({ address }) => address)
    const endpoints = this.#tcp.takeNew(
      (this.#call?.candidates ?? [])
        .filter(({ kind, endpoint }) => kind === 'tcp' && isWorthTrying(endpoint, own))
        .map(({ endpoint }) => endpoint)
        .filter(({ address }) => !isPrivate(address)),
    )
    if (endpoints.length === 0) return
    this.#record.triedTcp(nowMs, endpoints)
    effects.push({ kind: 'dialTcp', endpoints })
  }

  /** TCP connections share the relay's socket: their numbers are the ports of their endpoints. */
  #isStream(path: Path): boolean {
    return path.socket === this.#options.relayPath.socket && keyOf(path) !== this.#relayKey
  }

  // --- hard NATs -------------------------------------------------------------------------------

  #scheduleHard(nowMs: number): void {
    if (!this.#isFar || this.#call === undefined) return
    this.#hard.schedule(planHardSearch(this.#options.own(), this.#call), nowMs)
  }

  #beginHard(plan: HardPlan, nowMs: number, effects: FinderEffect[]): void {
    const { random, own } = this.#options
    const { sockets, stunServer, prefixes } = own()
    const addresses = prefixes.map(({ address }) => address)
    const peerEndpoints = (this.#call?.candidates ?? [])
      .filter(({ kind, endpoint }) => kind === 'reflexive' && endpoint.address.family === 4)
      .map(({ endpoint }) => endpoint)
      .filter((endpoint) => isWorthTrying(endpoint, addresses) && !isPrivate(endpoint.address))
    const mainSocket = sockets.v4
    if (!this.#isFar || mainSocket === undefined || peerEndpoints.length === 0) return
    const ping = this.#pings.createShared(nowMs)
    this.#hard.begin(plan, { mainSocket, peerEndpoints, stunServer, ping, random }, nowMs)
    this.#record.tried(nowMs, plan)
    if (plan.sockets > 0) effects.push({ kind: 'openSockets', count: plan.sockets })
  }

  #runHard(
    input: (search: HardSearch, effects: HardEffect[]) => void,
    nowMs: number,
    effects: FinderEffect[],
  ): void {
    const list: HardEffect[] = []
    this.#record.probed(this.#hard.run(input, list))
    for (const effect of list) {
      if (effect.kind === 'tell') this.#sendCall(nowMs, effects, effect.ports)
      else effects.push(effect)
      if (effect.kind === 'full') this.#record.filled(nowMs, effect.sockets)
    }
    const ended = this.#hard.takeEnded(!this.#isFar, nowMs)
    if (ended === undefined || ended.sockets === 0) return
    for (const { path } of this.#paths.all) {
      if (path.socket < 0) effects.push({ kind: 'keepSocket', socket: path.socket })
    }
    effects.push({ kind: 'closeSockets' })
  }

  // --- pings -----------------------------------------------------------------------------------

  #try(path: Path, nowMs: number, effects: FinderEffect[]): void {
    if (!this.#targets.tryOnce(path.remote, nowMs)) return
    this.#ping(path, nowMs, effects)
    this.#record.probed(1)
  }

  #ping(path: Path, nowMs: number, effects: FinderEffect[]): void {
    effects.push({ kind: 'send', path, bytes: this.#pings.create(path, nowMs) })
  }

  #pingRelay(nowMs: number, effects: FinderEffect[]): void {
    if (nowMs - this.#lastRelayPingMs < RELAY_PING_INTERVAL_MS) return
    this.#lastRelayPingMs = nowMs
    this.#ping(this.#options.relayPath, nowMs, effects)
  }

  #handlePing(path: Path, transactionId: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    const { pair, random } = this.#options
    const bytes = pair.seal({ kind: 'pong', transactionId, observed: path.remote }, random)
    effects.push({ kind: 'send', path, bytes })
    if (keyOf(path) === this.#relayKey) return
    const known = this.#paths.get(path)
    if (known !== undefined) known.lastHeardMs = nowMs
    // The peer can reach us from there: it may be a candidate that it does not know of itself.
    else if (!this.#pings.isPending(path, nowMs - CHALLENGE_INTERVAL_MS)) {
      if (this.#isStream(path)) this.#ping(path, nowMs, effects)
      else this.#try(path, nowMs, effects)
    }
  }

  #handlePong(path: Path, transactionId: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    const pending = this.#pings.take(path, transactionId)
    if (pending === undefined || pending.key !== keyOf(path)) return
    const rttMs = nowMs - pending.sentMs
    if (pending.key === this.#relayKey) {
      this.#relayRttMs = smooth(this.#relayRttMs, rttMs)
      return
    }
    if (this.#isStream(path)) effects.push({ kind: 'keepStream', path })
    else this.#targets.answered(path.remote)
    const { known, dropped } = this.#paths.proven(path, this.#kindOf(path), rttMs, nowMs, this.#active)
    if (dropped !== undefined) this.#drop(dropped, effects)
    if (pending.isWide) {
      known.width = { ...known.width, isProven: true }
      if (known.kind !== 'tcp') this.#record.isNarrow = false
    }
    if (this.#active === known) this.#liveness.clear()
    this.#choose(known, nowMs, effects)
  }

  #kindOf(path: Path): PathKind {
    if (this.#isStream(path)) return 'tcp'
    const { prefixes, mapping } = this.#options.own()
    const candidates = this.#call?.candidates ?? []
    return pathKindOf(
      path.remote,
      { candidates, isOpen: this.#peerMapping === 'none' },
      { prefixes, isOpen: mapping === 'none' },
    )
  }

  // --- choice ----------------------------------------------------------------------------------

  #watch(active: KnownPath, nowMs: number, effects: FinderEffect[]): void {
    if (this.#isNarrow(active, nowMs, effects)) return
    const isPending = this.#pings.isPending(active.path)
    const { activity, own } = this.#options
    const { lifetimeMs } = own()
    const signs = { activity: activity(), sinceMs: this.#activeSinceMs, isPending, lifetimeMs }
    const verdict = this.#liveness.check(active, signs, nowMs)
    if (verdict === 'ping') this.#ping(active.path, nowMs, effects)
    if (verdict !== 'dead') return
    this.#drop(active, effects)
    this.#useRelay(nowMs, `${formatEndpoint(active.path.remote)} does not answer any more`, effects)
    this.#startSearch(nowMs, effects)
  }

  /** A path over which short pings come through and full datagrams do not would swallow data. */
  #isNarrow(active: KnownPath, nowMs: number, effects: FinderEffect[]): boolean {
    const { isProven, tries, lastMs } = active.width
    if (isProven || this.#liveness.isSuspect) return false
    if (nowMs - lastMs < Math.max(WIDE_INTERVAL_MS, 3 * active.rttMs)) return false
    if (tries < WIDE_TRIES) {
      this.#pingWide(active, nowMs, effects)
      return false
    }
    // Only if short ones do come through: else it is liveness's to judge.
    if (nowMs - active.lastPongMs > WIDE_TRIES * WIDE_INTERVAL_MS + 3 * active.rttMs) {
      this.#ping(active.path, nowMs, effects)
      return false
    }
    this.#targets.bar(active.path.remote, nowMs)
    this.#drop(active, effects)
    this.#record.isNarrow = true
    const where = formatEndpoint(active.path.remote)
    this.#useRelay(nowMs, `${where} takes no datagrams of ${this.#options.own().wideBytes} bytes`, effects)
    return true
  }

  #pingWide(known: KnownPath, nowMs: number, effects: FinderEffect[]): void {
    known.width = { isProven: false, tries: known.width.tries + 1, lastMs: nowMs }
    const bytes = this.#pings.create(known.path, nowMs, this.#options.own().wideBytes)
    effects.push({ kind: 'send', path: known.path, bytes })
  }

  #choose(candidate: KnownPath, nowMs: number, effects: FinderEffect[]): void {
    const active = this.#active
    if (active === candidate) return
    if (active !== undefined && !this.#liveness.isSuspect && !isBetter(candidate, active)) return
    this.#active = candidate
    this.#hasBeenDirect = true
    this.#liveness.clear()
    this.#activeSinceMs = nowMs
    this.#record.moved(nowMs, candidate.kind, candidate.path.remote)
    effects.push({ kind: 'usePath', path: candidate.path, pathKind: candidate.kind })
    this.#tcp.forgive()
    if (this.#tcp.end()) effects.push({ kind: 'endTcp' })
    if (!this.#isFar) this.#hard.succeeded(nowMs)
    if (!candidate.width.isProven) this.#pingWide(candidate, nowMs, effects)
  }

  #useRelay(nowMs: number, reason: string, effects: FinderEffect[]): void {
    if (this.#active === undefined) return
    this.#active = undefined
    this.#liveness.clear()
    this.#activeSinceMs = nowMs
    this.#search.allow(nowMs)
    this.#record.lost(nowMs, reason)
    effects.push({ kind: 'usePath', path: this.#options.relayPath, pathKind: 'relay' }, { kind: 'lost' })
  }

  /** A path on a socket of its own gives it back. */
  #drop(path: KnownPath, effects: FinderEffect[]): void {
    const { v4, v6 } = this.#options.own().sockets
    const { socket } = path.path
    this.#paths.drop(path)
    if (this.#isStream(path.path)) {
      effects.push({ kind: 'closeStream', path: path.path })
      return
    }
    if (socket >= 0 && socket !== v4 && socket !== v6) effects.push({ kind: 'releaseSocket', socket })
  }

  #isInUse(nowMs: number): boolean {
    if (nowMs - this.#wantedMs < WANTED_MS) return true
    const activity = this.#options.activity()
    return activity !== undefined && lastUseOf(activity) > 0 && nowMs - lastUseOf(activity) < USE_MS
  }
}
