/**
 * Finds the best path to one peer, and notices when it is gone. Sans-IO.
 *
 * The relay carries data from the first packet on. Beside it a search runs: both sides tell each other their
 * candidates in a call and ping all of them at the same times, so that each opens its NAT for the other.
 * A path is proven by the answer to a sealed ping; which of them carries data is told in path-choice.ts. When
 * it is lost, the search begins anew.
 */

import type { Endpoint } from '../net/endpoint.js'
import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { isPrivate, isWorthTrying, type PathKind, pathKindOf } from './candidates.js'
import type { Candidate, DiscoMessage } from './disco.js'
import type { DiscoPair } from './disco-pair.js'
import { type FinderEffect, lastUseOf, type OwnPosition, type PeerActivity } from './finder-types.js'
import { HardAttempts } from './hard-attempts.js'
import { type HardEffect, type HardPlan, type HardSearch, planHardSearch } from './hard-search.js'
import { keyOf, smooth } from './known-paths.js'
import type { Mapping } from './nat.js'
import { PathChoice } from './path-choice.js'
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
/** An endpoint that pings us is challenged, but not for each of its pings. */
const CHALLENGE_INTERVAL_MS = 60
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
  readonly #choice: PathChoice
  readonly #targets = new Targets()
  readonly #hard = new HardAttempts()
  readonly #tcp = new TcpAttempts()
  readonly #record = new PathRecord()
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
    const [pings, targets, record] = [this.#pings, this.#targets, this.#record]
    this.#choice = new PathChoice({ ...options, pings, targets, record }, nowMs)
  }

  status(): FinderStatus {
    const { active, sinceMs } = this.#choice
    return {
      kind: active?.kind ?? 'relay',
      path: active?.path ?? this.#options.relayPath,
      rttMs: active?.rttMs ?? this.#relayRttMs,
      relayRttMs: this.#relayRttMs,
      loss: active?.loss ?? 0,
      sinceMs,
      isSearching: this.#search.isRunning,
      peerMapping: this.#peerMapping,
      peerCandidates: this.#call?.candidates ?? [],
      record: this.#record,
    }
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
        if (this.#choice.isRelay(path)) this.#handleCall(message, nowMs, effects)
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
    if (this.#choice.active === undefined && this.#search.isDue(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** A link or an address of this machine changed: the active path may be gone without a sign. */
  handleNetworkChanged(nowMs: number, effects: FinderEffect[]): void {
    this.#tcp.forgive()
    this.#choice.suspect(nowMs)
    if (this.#choice.watch(nowMs, effects)) this.#search.allow(nowMs)
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
    for (const path of this.#choice.renumber(before, after)) this.#ping(path, nowMs, effects)
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
    if (this.#choice.closed(path, nowMs, effects)) this.#startSearch(nowMs, effects)
  }

  /** Our sockets are others: nothing known leads anywhere. */
  handleSocketsChanged(nowMs: number, effects: FinderEffect[]): void {
    this.#choice.clear('the sockets of this node changed', nowMs, effects)
    this.#search.allow(nowMs)
    if (this.#isInUse(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** The peer is none any more: gives back the sockets that were its own. */
  close(effects: FinderEffect[]): void {
    this.#choice.close(effects)
    if (this.#hard.isRunning) effects.push({ kind: 'closeSockets' })
    if (this.#tcp.end()) effects.push({ kind: 'endTcp' })
  }

  nextDeadlineMs(nowMs: number): number {
    return Math.min(this.#ordinaryDeadlineMs(nowMs), this.#hard.nextDeadlineMs(), this.#tcp.nextDeadlineMs())
  }

  #ordinaryDeadlineMs(nowMs: number): number {
    const suspectMs = this.#choice.nextDeadlineMs()
    if (suspectMs !== Number.POSITIVE_INFINITY) return suspectMs
    // Whether data flows must be looked up: seldom where it has not for long.
    const checkMs = this.#lastCheckMs + (this.#isInUse(nowMs) ? CHECK_INTERVAL_MS : IDLE_CHECK_INTERVAL_MS)
    return Math.min(checkMs, this.#search.nextDeadlineMs())
  }

  handleTimeout(nowMs: number, effects: FinderEffect[]): void {
    this.#lastCheckMs = nowMs
    this.#choice.handleTimeout(nowMs, effects)
    const plan = this.#hard.takeDue(nowMs)
    if (plan !== undefined) this.#beginHard(plan, nowMs, effects)
    this.#runHard((search, list) => search.handleTimeout(nowMs, list), nowMs, effects)
    this.#continueSearch(nowMs, effects)
    if (this.#tcp.handleTimeout(nowMs)) effects.push({ kind: 'endTcp' })
    const isInUse = this.#isInUse(nowMs)
    const isLeft = isInUse ? this.#choice.watch(nowMs, effects) : this.#choice.watchIdle(nowMs, effects)
    if (isLeft) this.#search.allow(nowMs)
    if (!isInUse || !this.#choice.isFar) return
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
    this.#search.begin(role, this.#choice.active === undefined && !this.#record.hasFailed, nowMs)
    if (role !== 'answered') this.#openNat(nowMs, effects)
    this.#continueSearch(nowMs, effects)
  }

  #continueSearch(nowMs: number, effects: FinderEffect[]): void {
    for (let at = this.#search.takePings(nowMs); at !== undefined; at = this.#search.takePings(nowMs)) {
      if (at >= TCP_AFTER_MS && this.#isUdpStopped()) this.#beginTcp(false, nowMs, effects)
      for (const path of this.#targetPaths()) this.#try(path, nowMs, effects)
    }
    if (!this.#search.takeEnd(nowMs) || !this.#choice.isFar) return
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
      isLost: this.#choice.isLost,
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
    if (this.#choice.active === undefined) this.#record.called(nowMs)
    else if (call.isLost && this.#choice.disbelieved(nowMs, effects)) this.#search.allow(nowMs)
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
    if (this.#choice.active !== undefined || this.#call === undefined) return
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

  // --- hard NATs -------------------------------------------------------------------------------

  #scheduleHard(nowMs: number): void {
    if (!this.#choice.isFar || this.#call === undefined) return
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
    if (!this.#choice.isFar || mainSocket === undefined || peerEndpoints.length === 0) return
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
    const ended = this.#hard.takeEnded(!this.#choice.isFar, nowMs)
    if (ended === undefined || ended.sockets === 0) return
    for (const socket of this.#choice.sockets) if (socket < 0) effects.push({ kind: 'keepSocket', socket })
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
    if (this.#choice.isRelay(path) || this.#choice.heard(path, nowMs)) return
    // The peer can reach us from there: it may be a candidate that it does not know of itself.
    if (this.#pings.isPending(path, nowMs - CHALLENGE_INTERVAL_MS)) return
    if (this.#choice.isStream(path)) this.#ping(path, nowMs, effects)
    else this.#try(path, nowMs, effects)
  }

  #handlePong(path: Path, transactionId: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    const pending = this.#pings.take(path, transactionId)
    if (pending === undefined || pending.key !== keyOf(path)) return
    const rttMs = nowMs - pending.sentMs
    if (this.#choice.isRelay(path)) {
      this.#relayRttMs = smooth(this.#relayRttMs, rttMs)
      return
    }
    if (this.#choice.isStream(path)) effects.push({ kind: 'keepStream', path })
    else this.#targets.answered(path.remote)
    const proof = { path, kind: this.#kindOf(path), rttMs, isWide: pending.isWide }
    if (!this.#choice.proven(proof, nowMs, effects)) return
    this.#tcp.forgive()
    if (this.#tcp.end()) effects.push({ kind: 'endTcp' })
    if (!this.#choice.isFar) this.#hard.succeeded(nowMs)
  }

  #kindOf(path: Path): PathKind {
    if (this.#choice.isStream(path)) return 'tcp'
    const { prefixes, mapping } = this.#options.own()
    const candidates = this.#call?.candidates ?? []
    return pathKindOf(
      path.remote,
      { candidates, isOpen: this.#peerMapping === 'none' },
      { prefixes, isOpen: mapping === 'none' },
    )
  }

  #isInUse(nowMs: number): boolean {
    if (nowMs - this.#wantedMs < WANTED_MS) return true
    const activity = this.#options.activity()
    return activity !== undefined && lastUseOf(activity) > 0 && nowMs - lastUseOf(activity) < USE_MS
  }
}
