/**
 * Finds the best path to one peer, and notices when it is gone. Sans-IO.
 *
 * The relay carries data from the first packet on. Beside it a search runs: both sides tell each other their
 * candidates in a call and ping all of them at the same times, so that each opens its NAT for the other.
 * A path is proven by the answer to a sealed ping. When it is lost, the search begins anew.
 *
 * This file is the order in which things happen; each of them is told in a file of its own: calls.ts (what both
 * sides say), search-schedule.ts (when is pinged), probing.ts (what is pinged), path-choice.ts (which path carries
 * data), nat-crossing.ts and tcp-attempts.ts (what else is tried).
 */

import type { Endpoint } from '../net/endpoint.js'
import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { type Call, Calls } from './calls.js'
import type { PathKind } from './candidates.js'
import { PROOF_INTERVAL_MS, type ReceivedAgo } from './data-proof.js'
import type { Candidate, DiscoMessage } from './disco.js'
import type { DiscoPair } from './disco-pair.js'
import { type FinderEffect, lastUseOf, type OwnPosition, type PeerActivity } from './finder-types.js'
import { keyOf, smooth } from './known-paths.js'
import type { Mapping } from './nat.js'
import { NatCrossing } from './nat-crossing.js'
import { PathChoice } from './path-choice.js'
import { PathRecord } from './path-record.js'
import { PingBook } from './ping-book.js'
import { Probing } from './probing.js'
import { type SearchRole, SearchSchedule } from './search-schedule.js'
import { Targets } from './targets.js'
import { TcpAttempts } from './tcp-attempts.js'

/** Where a firewall is known to stop UDP, TCP is tried so long after a search began; else when it has failed. */
const TCP_AFTER_MS = 350
/** Where it is not known what a NAT is like, the worst is thought of it so long after a search began. */
const GUESS_AFTER_MS = 700
/** Data has flowed so recently that the path is kept open. */
const USE_MS = 120_000
/** Data that waits counts as flowing for so long. */
const WANTED_MS = 10_000
/** How often it is looked up whether data flows. */
const CHECK_INTERVAL_MS = 50
const IDLE_CHECK_INTERVAL_MS = 500
const RELAY_PING_INTERVAL_MS = 5000
/** While the peer is silent: at first, and by the time for which it has been; it may have been started anew. */
const SILENT_PING_INTERVAL_MS = 250
const SILENT_SHARE = 0.125
/** An endpoint that pings us is challenged, but not for each of its pings. */
const CHALLENGE_INTERVAL_MS = 60
/** Within a second, on TCP connections that are not proven. */
const MAX_STREAM_CHALLENGES = 20

type Pong = Extract<DiscoMessage, { kind: 'pong' }>

export interface FinderOptions {
  readonly pair: DiscoPair
  readonly random: RandomBytes
  readonly relayPath: Path
  readonly own: () => OwnPosition
  readonly activity: () => PeerActivity | undefined
  /** TAI64N, each later than the one before. */
  readonly timestamp: () => Uint8Array
  /** Of this program, as pongs say it. */
  readonly run: number
  /** A message was not acted upon because it came from inside an overlay. */
  readonly onInside: () => void
}

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
  readonly #probing: Probing
  readonly #calls: Calls
  readonly #crossing: NatCrossing
  readonly #tcp: TcpAttempts
  readonly #record = new PathRecord()
  readonly #search = new SearchSchedule()
  #challenges = 0
  #challengesFromMs = Number.NEGATIVE_INFINITY
  #relayRttMs: number | undefined
  #lastRelayPingMs = Number.NEGATIVE_INFINITY
  #lastCheckMs = Number.NEGATIVE_INFINITY
  #wantedMs = Number.NEGATIVE_INFINITY
  /** Since when the hub sees the peer again. */
  #onlineMs = 0
  #peerRun: number | undefined

  constructor(options: FinderOptions, nowMs: number) {
    this.#options = options
    const pings = new PingBook(options.pair, options.random)
    const [targets, record] = [this.#targets, this.#record]
    const relayRttMs = (): number | undefined => this.#relayRttMs
    const choice = new PathChoice({ ...options, pings, targets, record, relayRttMs }, nowMs)
    const tcp = new TcpAttempts(record)
    const calls = new Calls({ ...options, choice, tcp })
    this.#pings = pings
    this.#choice = choice
    this.#tcp = tcp
    this.#calls = calls
    this.#probing = new Probing({ ...options, pings, targets, record })
    this.#crossing = new NatCrossing({ ...options, calls, choice, pings, record, targets })
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
      peerMapping: this.#calls.peerMapping,
      peerCandidates: this.#calls.peerCandidates,
      record: this.#record,
    }
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** An authentic message of the peer. */
  handleMessage(path: Path, message: DiscoMessage, nowMs: number, effects: FinderEffect[]): void {
    // Of this peer, but over the relay as another one's: whoever passes it on is not to get the data.
    if (this.#choice.isForeign(path) || this.#isInside(path)) return
    switch (message.kind) {
      case 'ping':
        this.#handlePing(path, message.transactionId, nowMs, effects)
        break
      case 'pong':
        this.#handlePong(path, message, nowMs, effects)
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
    this.#crossing.schedule(nowMs, this.#record.hasFailed)
  }

  /** Data waits to be sent: the search need not wait until some is seen to flow. */
  handleWanted(nowMs: number, effects: FinderEffect[]): void {
    this.#wantedMs = nowMs
    if (this.#choice.active === undefined && this.#search.isDue(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** Calls go through from now on; those before may be lost. */
  handleCarrierUp(nowMs: number, effects: FinderEffect[]): void {
    if (this.#choice.active === undefined && this.#isInUse(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** The hub sees the peer again: it may have been started anew, and perhaps it is on no relay yet. */
  handleOnline(nowMs: number, effects: FinderEffect[]): void {
    this.#onlineMs = nowMs
    if (!this.#isInUse(nowMs)) return
    this.#lastRelayPingMs = nowMs
    this.#probing.ping(this.#options.relayPath, nowMs, effects)
  }

  /** A link or an address of this machine changed: the active path may be gone without a sign. */
  handleNetworkChanged(nowMs: number, effects: FinderEffect[]): void {
    this.#tcp.forgive()
    this.#choice.suspect(nowMs)
    if (this.#choice.watch(nowMs, effects)) this.#search.allow(nowMs)
    if (this.#isInUse(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** Routes or tunnels of this machine are others. */
  handleRoutesChanged(nowMs: number, effects: FinderEffect[]): void {
    this.#targets.dropOverlays(this.#options.own().isOverlay)
    if (!this.#choice.leaveOverlays(nowMs, effects)) return
    this.#search.allow(nowMs)
    if (this.#isInUse(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** What `askRoom` asked for: see NatCrossing. */
  handleRoom(sessions: number | undefined, nowMs: number, effects: FinderEffect[]): void {
    this.#crossing.handleRoom(sessions, nowMs, effects)
  }

  /** What `askTurn` asked for. */
  handleTurn(nowMs: number, effects: FinderEffect[]): void {
    this.#crossing.handleTurn(nowMs, effects)
  }

  /** What `openSockets` asked for is there. False if nobody wants it any more. */
  handleSockets(sockets: readonly number[], nowMs: number, effects: FinderEffect[]): boolean {
    return this.#crossing.handleSockets(sockets, nowMs, effects)
  }

  /** A datagram of STUN on a socket of a search. */
  handleStun(path: Path, bytes: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    this.#crossing.handleStun(path, bytes, nowMs, effects)
  }

  /**
   * A socket of a search is a data socket now, under another number; undefined: it could not become one. A ping
   * tells the peer, which may have missed something while it changed hands.
   */
  handleAdopted(before: number, after: number | undefined, nowMs: number, effects: FinderEffect[]): boolean {
    const paths = this.#choice.adopted(before, after, nowMs, effects)
    for (const path of paths) this.#probing.ping(path, nowMs, effects)
    return paths.length > 0
  }

  /** What `prepareTcp` asked for: our ends as servers see them, none if no server answered. */
  handleTcpReady(own: readonly Endpoint[], nowMs: number, effects: FinderEffect[]): void {
    if (!this.#tcp.handleReady(own)) return
    this.#calls.send(nowMs, effects)
    this.#tcp.dial(this.#calls.tcpEndpoints, nowMs, effects)
  }

  /** A TCP connection that `dialTcp` asked for. */
  handleStream(path: Path, nowMs: number, effects: FinderEffect[]): void {
    this.#probing.ping(path, nowMs, effects)
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
    this.#crossing.close(effects)
    this.#tcp.end(effects)
  }

  nextDeadlineMs(nowMs: number): number {
    const ordinaryMs = this.#ordinaryDeadlineMs(nowMs)
    return Math.min(ordinaryMs, this.#crossing.nextDeadlineMs(), this.#tcp.nextDeadlineMs())
  }

  #ordinaryDeadlineMs(nowMs: number): number {
    const suspectMs = this.#choice.nextDeadlineMs()
    if (suspectMs !== Number.POSITIVE_INFINITY) return suspectMs
    // Whether data flows must be looked up: seldom where it has not for long.
    const busyMs = this.#choice.isOnTrial ? PROOF_INTERVAL_MS : CHECK_INTERVAL_MS
    const checkMs = this.#lastCheckMs + (this.#isInUse(nowMs) ? busyMs : IDLE_CHECK_INTERVAL_MS)
    return Math.min(checkMs, this.#search.nextDeadlineMs())
  }

  handleTimeout(nowMs: number, effects: FinderEffect[]): void {
    this.#lastCheckMs = nowMs
    this.#choice.handleTimeout(nowMs, effects)
    this.#crossing.handleTimeout(nowMs, effects)
    this.#continueSearch(nowMs, effects)
    this.#tcp.handleTimeout(nowMs, effects)
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
    this.#calls.send(nowMs, effects)
    // How far it is over the relay: a path that is found is judged by what arrives after what went there.
    this.#pingRelay(nowMs, effects)
    this.#beginSearch('caller', nowMs, effects)
  }

  #beginSearch(role: SearchRole, nowMs: number, effects: FinderEffect[]): void {
    const isFirst = this.#choice.active === undefined && !this.#record.hasFailed
    this.#search.begin(role, isFirst, this.#calls.isHeard, nowMs)
    this.#continueSearch(nowMs, effects)
  }

  #continueSearch(nowMs: number, effects: FinderEffect[]): void {
    const hops = this.#search.takeOpener(nowMs)
    if (hops !== undefined) this.#probing.openNat(hops, nowMs, effects)
    for (let at = this.#search.takePings(nowMs); at !== undefined; at = this.#search.takePings(nowMs)) {
      if (at >= TCP_AFTER_MS && this.#calls.isUdpStopped) this.#beginTcp(false, nowMs, effects)
      if (at >= GUESS_AFTER_MS) this.#crossing.schedule(nowMs, true)
      this.#probing.pingAll(nowMs, effects)
    }
    if (!this.#search.takeEnd(nowMs) || !this.#choice.isFar) return
    const { peerMapping, peerCandidates } = this.#calls
    this.#record.failed(nowMs, { own: this.#options.own(), peerMapping, peerCandidates })
    this.#crossing.schedule(nowMs, true)
    this.#beginTcp(false, nowMs, effects)
  }

  #handleCall(call: Call, nowMs: number, effects: FinderEffect[]): void {
    this.#calls.handle(call)
    if (this.#choice.active === undefined) this.#record.called(nowMs)
    else if (call.isLost && this.#choice.disbelieved(nowMs, effects)) this.#search.allow(nowMs)
    if (call.isSearching) this.#crossing.handleReady(nowMs)
    this.#crossing.schedule(nowMs, this.#record.hasFailed)
    const before = this.#targets.size
    this.#targets.replace(call.candidates, this.#options.own(), nowMs)
    if (before === 0 && this.#targets.size > 0) this.#record.began(nowMs, this.#targets.size)
    const isAnswer = this.#calls.isAnswered(nowMs)
    if (!isAnswer) this.#calls.send(nowMs, effects)
    // What tells a fresh port comes while both ping, and is no reason to begin anew.
    const isTelling = call.ports[0] > 0 && call.ports[0] === call.ports[1]
    if (!(isAnswer && (isTelling || call.isSearching) && this.#search.isPinging)) {
      this.#beginSearch(isAnswer ? 'answered' : 'called', nowMs, effects)
    }
    if (!call.triesTcp) return
    this.#beginTcp(true, nowMs, effects)
    this.#tcp.dial(this.#calls.tcpEndpoints, nowMs, effects)
  }

  #beginTcp(isAskedFor: boolean, nowMs: number, effects: FinderEffect[]): void {
    if (this.#choice.active !== undefined || !this.#calls.isHeard) return
    this.#tcp.begin(isAskedFor, nowMs, effects)
  }

  // --- pings -----------------------------------------------------------------------------------

  #pingRelay(nowMs: number, effects: FinderEffect[]): void {
    if (nowMs - this.#lastRelayPingMs < this.#relayPingIntervalMs(nowMs)) return
    this.#lastRelayPingMs = nowMs
    this.#probing.ping(this.#options.relayPath, nowMs, effects)
  }

  #relayPingIntervalMs(nowMs: number): number {
    const { firstUnansweredSendMs: unansweredMs = 0, lastReceiveMs = 0 } = this.#options.activity() ?? {}
    if (unansweredMs <= lastReceiveMs) return RELAY_PING_INTERVAL_MS
    const silentMs = nowMs - Math.max(unansweredMs, this.#onlineMs)
    return Math.min(RELAY_PING_INTERVAL_MS, Math.max(SILENT_PING_INTERVAL_MS, SILENT_SHARE * silentMs))
  }

  #handlePing(path: Path, transactionId: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    const { pair, random, run } = this.#options
    const received = this.#receivedAgo(nowMs)
    const bytes = pair.seal({ kind: 'pong', transactionId, observed: path.remote, run, received }, random)
    effects.push({ kind: 'send', path, bytes })
    if (this.#choice.isRelay(path) || this.#choice.heard(path, nowMs)) return
    // The peer can reach us from there: it may be a candidate that it does not know of itself.
    if (this.#pings.isPending(path, nowMs - CHALLENGE_INTERVAL_MS)) return
    if (!this.#choice.isStream(path)) this.#probing.try(path, nowMs, effects)
    else if (this.#mayChallenge(nowMs)) this.#probing.ping(path, nowMs, effects)
  }

  /** Whoever plays an old ping again on ever new connections makes us ask on no more than some of them. */
  #mayChallenge(nowMs: number): boolean {
    if (nowMs - this.#challengesFromMs > 1000) {
      this.#challengesFromMs = nowMs
      this.#challenges = 0
    }
    this.#challenges += 1
    return this.#challenges <= MAX_STREAM_CHALLENGES
  }

  #handlePong(path: Path, pong: Pong, nowMs: number, effects: FinderEffect[]): void {
    const pending = this.#pings.take(path, pong.transactionId, nowMs)
    if (pending === undefined) return
    if (this.#peerRun !== undefined && this.#peerRun !== pong.run) effects.push({ kind: 'restarted' })
    this.#peerRun = pong.run
    if (pending.key !== keyOf(path)) return
    const rttMs = nowMs - pending.sentMs
    if (this.#choice.isRelay(path)) {
      this.#relayRttMs = smooth(this.#relayRttMs, rttMs)
      return
    }
    if (this.#choice.isStream(path)) effects.push({ kind: 'keepStream', path })
    else this.#targets.answered(path.remote)
    const kind = this.#choice.isStream(path) ? 'tcp' : this.#calls.kindOf(path)
    const { role, sentMs } = pending
    const proof = { path, kind, rttMs, role, sentMs, received: pong.received }
    if (!this.#choice.proven(proof, nowMs, effects)) return
    this.#tcp.forgive()
    this.#tcp.end(effects)
    if (!this.#choice.isFar) this.#crossing.succeeded(nowMs)
  }

  /** When data of the peer came last, over whatever path: it is to know whether its path carries any. */
  #receivedAgo(nowMs: number): ReceivedAgo {
    const { lastReceiveMs = 0, keypairMs = 0 } = this.#options.activity() ?? {}
    if (lastReceiveMs > 0) return Math.max(0, nowMs - lastReceiveMs)
    return keypairMs > 0 ? 'nothing' : 'noKeypair'
  }

  /** It came through a tunnel of this machine, where an answer would go too. */
  #isInside(path: Path): boolean {
    if (
      path.socket === this.#options.relayPath.socket ||
      !this.#options.own().isOverlay(path.remote.address)
    ) {
      return false
    }
    this.#options.onInside()
    return true
  }

  #isInUse(nowMs: number): boolean {
    if (nowMs - this.#wantedMs < WANTED_MS) return true
    const activity = this.#options.activity()
    return activity !== undefined && lastUseOf(activity) > 0 && nowMs - lastUseOf(activity) < USE_MS
  }
}
