/**
 * Finds the best path to one peer, and notices when it is gone. Sans-IO.
 *
 * The relay carries data from the first packet on. Beside it a search runs: both sides tell each other their
 * candidates in a call and ping all of them at the same times, so that each opens its NAT for the other.
 * A path is proven by the answer to a sealed ping; data moves when a better one is. While data goes out and
 * nothing comes back, the path is pinged; if that stays unanswered too, data goes over the relay at once
 * and the search begins anew.
 *
 * Bounded: candidates, unanswered pings to each, remembered pings, and the record of what happened.
 */

import { formatHex } from '../base/bytes.js'
import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import type { Path } from '../net/path.js'
import type { Prefix } from '../net/prefix.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { isPrivate, isWorthTrying, PATH_KINDS, type PathKind, pathKindOf } from './candidates.js'
import { type Candidate, type DiscoMessage, type DiscoPair, MAX_CANDIDATES } from './disco.js'
import { type HardEffect, type HardPlan, HardSearch, planHardSearch } from './hard-search.js'
import type { Mapping } from './nat.js'
import { PathRecord } from './path-record.js'

/** When a search pings every candidate, in ms after it began. */
const SEARCH_AT_MS = [0, 50, 150, 350, 750, 1500] as const
/** The same once a search has failed, or beside a path that there is already. */
const RETRY_AT_MS = [0, 150] as const
/** A search is over so long after its last ping. */
const SEARCH_TAIL_MS = 500
/** While data flows and no direct path is known, it is tried again so often. */
const RETRY_INTERVAL_MS = 8000
/** A call is answered with one, but not for ever. */
const CALL_INTERVAL_MS = 5000
/** Data has flowed so recently that the path is kept open. */
const USE_MS = 120_000
/** How often it is looked up whether data flows. */
const CHECK_INTERVAL_MS = 50
const IDLE_CHECK_INTERVAL_MS = 500
const BUSY_MS = 10_000
const HEARTBEAT_BUSY_MS = 5000
const HEARTBEAT_MS = 14_000
/** A path that has not answered for so long is not believed in any more. */
const PROOF_LIFETIME_MS = 35_000
/** Silence while sending that makes a path suspect: not less, and not less than three round trips. */
const SUSPICION_MS = 200
const SUSPICION_RTTS = 3
const SUSPECT_PINGS = 3
const SUSPECT_PING_INTERVAL_MS = 60
/** Unanswered pings to one candidate within UNANSWERED_SPAN_MS: what a peer can make us send to a victim. */
const MAX_UNANSWERED = 12
const UNANSWERED_SPAN_MS = 60_000
/** Plain pings get so long before a technique for hard NATs begins. */
const HARD_DELAY_MS = 120
/** Between two attempts by such a technique, twice as long each time. */
const FIRST_HARD_PAUSE_MS = 60_000
const MAX_HARD_PAUSE_MS = 3_600_000
/** More than a round trip: what meets in that time is proven on both sides. */
const HARD_GRACE_MS = 600
/** A path that is not in use, and over which the peer says nothing either, is forgotten. */
const PATH_LIFETIME_MS = 60_000
/** A pong within this time, and two round trips, is newer than what a call says. */
const FRESH_MS = 50
const MAX_PENDING = 512
const MAX_PATHS = 16
/** A path of the same kind must be faster by this to be moved to. */
const MIN_GAIN = 0.8
const MIN_GAIN_MS = 5

/** What this node is reached at, and by which sockets it sends. */
export interface OwnPosition {
  readonly sockets: { readonly v4: number | undefined; readonly v6: number | undefined }
  readonly candidates: readonly Candidate[]
  readonly prefixes: readonly Prefix[]
  readonly mapping: Mapping
  /** Of external ports where the mapping is hard; both 0 if not known. */
  readonly ports: readonly [low: number, high: number]
  readonly isSequential: boolean
  /** Asked by techniques for hard NATs. */
  readonly stunServer: Endpoint | undefined
}

/** Live, from the data plane: times on the caller's clock, 0 for never. */
export interface PeerActivity {
  readonly lastDataSendMs: number
  readonly firstUnansweredSendMs: number
  readonly lastReceiveMs: number
  readonly lastDataReceiveMs: number
}

export type FinderEffect =
  | { readonly kind: 'send'; readonly path: Path; readonly bytes: Uint8Array }
  /** Data goes there from now on. */
  | { readonly kind: 'usePath'; readonly path: Path; readonly pathKind: PathKind }
  /** Fresh sockets for a search, answered by handleSockets; their numbers are negative. */
  | { readonly kind: 'openSockets'; readonly count: number }
  /** It carries a proven path, which the peer may have chosen: it becomes a data socket. */
  | { readonly kind: 'keepSocket'; readonly socket: number }
  /** The search is over: those that carry no path are not needed any more. */
  | { readonly kind: 'closeSockets' }
  /** A path was lost: this node's own endpoints may be others by now. */
  | { readonly kind: 'lost' }
  /** A socket of its own that carried a path. */
  | { readonly kind: 'releaseSocket'; readonly socket: number }

export interface FinderOptions {
  readonly pair: DiscoPair
  readonly random: RandomBytes
  readonly relayPath: Path
  readonly own: () => OwnPosition
  readonly activity: () => PeerActivity | undefined
}

interface KnownPath {
  key: string
  path: Path
  kind: PathKind
  rttMs: number
  lastPongMs: number
  /** A pong or a ping of the peer: it may send its data there. */
  lastHeardMs: number
  /** Of pings, of the last few: 0 to 1. */
  loss: number
}

interface Pending {
  readonly key: string
  readonly path: Path
  readonly sentMs: number
}

interface Target {
  readonly endpoint: Endpoint
  /** Since the last answer, within the span. */
  unanswered: number
  spanStartMs: number
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
  readonly #paths = new Map<string, KnownPath>()
  readonly #targets = new Map<string, Target>()
  readonly #pending = new Map<string, Pending>()
  readonly #record = new PathRecord()
  readonly #relayKey: string
  #active: KnownPath | undefined
  #hasBeenDirect = false
  #activeSinceMs = 0
  #search: { readonly startedMs: number; readonly times: readonly number[]; step: number } | undefined
  #nextSearchMs = 0
  #lastCallMs = Number.NEGATIVE_INFINITY
  #suspect: { readonly sinceMs: number; pings: number; nextPingMs: number } | undefined
  #peerMapping: Mapping = 'unknown'
  #peerCandidates: readonly Candidate[] = []
  #relayRttMs: number | undefined
  #lastRelayPingMs = Number.NEGATIVE_INFINITY
  #lastCheckMs = Number.NEGATIVE_INFINITY
  #wantedMs = Number.NEGATIVE_INFINITY
  #hard: HardSearch | undefined
  #hardPing: { readonly id: string; readonly sentMs: number } | undefined
  #hardAtMs = Number.POSITIVE_INFINITY
  /** A technique has succeeded; its sockets are kept for so long. */
  #hardGraceMs = Number.POSITIVE_INFINITY
  #hardPauseMs = FIRST_HARD_PAUSE_MS
  #nextHardMs = 0
  #peerPorts: readonly [low: number, high: number] = [0, 0]
  #isPeerSequential = false

  constructor(options: FinderOptions, nowMs: number) {
    this.#options = options
    this.#relayKey = keyOf(options.relayPath)
    this.#activeSinceMs = nowMs
  }

  status(): FinderStatus {
    const { relayPath } = this.#options
    const active = this.#active
    return {
      kind: active?.kind ?? 'relay',
      path: active?.path ?? relayPath,
      rttMs: active?.rttMs ?? this.#relayRttMs,
      relayRttMs: this.#relayRttMs,
      loss: active?.loss ?? 0,
      sinceMs: this.#activeSinceMs,
      isSearching: this.#search !== undefined,
      peerMapping: this.#peerMapping,
      peerCandidates: this.#peerCandidates,
      record: this.#record,
    }
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** An authentic message of the peer. */
  handleMessage(path: Path, message: DiscoMessage, nowMs: number, effects: FinderEffect[]): void {
    switch (message.kind) {
      case 'ping':
        this.#handlePing(path, message.transactionId, nowMs, effects)
        break
      case 'pong':
        this.#handlePong(path, formatHex(message.transactionId), nowMs, effects)
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
    this.#planHard(nowMs)
  }

  /** Data waits to be sent: the search need not wait until some is seen to flow. */
  handleWanted(nowMs: number, effects: FinderEffect[]): void {
    this.#wantedMs = nowMs
    const isDue = this.#active === undefined && this.#search === undefined && nowMs >= this.#nextSearchMs
    if (isDue) this.#startSearch(nowMs, effects)
  }

  /** A link or an address of this machine changed: the active path may be gone without a sign. */
  handleNetworkChanged(nowMs: number, effects: FinderEffect[]): void {
    if (this.#active !== undefined) this.#suspectNow(nowMs, effects)
    if (this.#isInUse(nowMs)) this.#startSearch(nowMs, effects)
  }

  /** What `openSockets` asked for is there. */
  handleSockets(sockets: readonly number[], nowMs: number, effects: FinderEffect[]): void {
    this.#runHard((hard, list) => hard.handleSockets(sockets, nowMs, list), nowMs, effects)
  }

  /** A datagram of STUN on a socket of a search. */
  handleStun(path: Path, bytes: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    this.#runHard((hard, list) => hard.handleDatagram(path, bytes, list), nowMs, effects)
  }

  /**
   * A socket of a search is a data socket now, under another number. A ping tells the peer, which may have
   * missed something while it changed hands.
   */
  handleAdopted(before: number, after: number, nowMs: number, effects: FinderEffect[]): void {
    for (const known of [...this.#paths.values()]) {
      if (known.path.socket !== before) continue
      this.#paths.delete(known.key)
      const path = { ...known.path, socket: after }
      known.path = path
      known.key = keyOf(path)
      this.#paths.set(known.key, known)
      this.#ping(path, nowMs, effects)
    }
  }

  /** Our sockets are others: nothing known leads anywhere. */
  handleSocketsChanged(nowMs: number, effects: FinderEffect[]): void {
    for (const path of [...this.#paths.values()]) this.#dropPath(path, effects)
    this.#pending.clear()
    this.#useRelay(nowMs, 'the sockets of this node changed', effects)
    if (this.#isInUse(nowMs)) this.#startSearch(nowMs, effects)
  }

  nextDeadlineMs(nowMs: number): number {
    const hardMs = this.#hard?.nextDeadlineMs() ?? Number.POSITIVE_INFINITY
    return Math.min(this.#ordinaryDeadlineMs(nowMs), this.#hardAtMs, this.#hardGraceMs, hardMs)
  }

  #ordinaryDeadlineMs(nowMs: number): number {
    if (this.#suspect !== undefined) return this.#suspect.nextPingMs
    // Whether data flows must be looked up: seldom where it has not for long.
    const checkMs = this.#lastCheckMs + (this.#isInUse(nowMs) ? CHECK_INTERVAL_MS : IDLE_CHECK_INTERVAL_MS)
    if (this.#search === undefined) return checkMs
    const { startedMs, times, step } = this.#search
    return Math.min(checkMs, startedMs + (times[step] ?? (times.at(-1) ?? 0) + SEARCH_TAIL_MS))
  }

  handleTimeout(nowMs: number, effects: FinderEffect[]): void {
    this.#lastCheckMs = nowMs
    this.#forgetOldPings(nowMs)
    if (nowMs >= this.#hardAtMs) this.#startHard(nowMs, effects)
    if (this.#hard !== undefined)
      this.#runHard((hard, list) => hard.handleTimeout(nowMs, list), nowMs, effects)
    if (nowMs >= this.#hardGraceMs) this.#endHard(nowMs, effects)
    this.#forgetOldPaths(nowMs, effects)
    if (this.#search !== undefined) this.#continueSearch(nowMs, effects)
    if (!this.#isInUse(nowMs)) {
      if (this.#active !== undefined && nowMs - this.#active.lastPongMs > PROOF_LIFETIME_MS) {
        this.#useRelay(nowMs, 'nothing was sent for a while, so the path was given up', effects)
      }
      return
    }
    if (this.#active === undefined) {
      if (this.#search === undefined && nowMs >= this.#nextSearchMs) this.#startSearch(nowMs, effects)
      this.#pingRelay(nowMs, effects)
      return
    }
    this.#watch(this.#active, nowMs, effects)
  }

  // --- liveness --------------------------------------------------------------------------------

  #watch(active: KnownPath, nowMs: number, effects: FinderEffect[]): void {
    if (this.#suspect !== undefined) {
      this.#continueSuspicion(active, nowMs, effects)
      return
    }
    const activity = this.#options.activity()
    const unansweredMs = activity?.firstUnansweredSendMs ?? 0
    const patienceMs = Math.max(SUSPICION_MS, SUSPICION_RTTS * active.rttMs)
    const isSilent = unansweredMs > 0 && nowMs - Math.max(unansweredMs, active.lastPongMs) > patienceMs
    if (isSilent) {
      this.#suspectNow(nowMs, effects)
      return
    }
    const isBusy = activity !== undefined && nowMs - lastUseOf(activity) < BUSY_MS
    const intervalMs = isBusy ? HEARTBEAT_BUSY_MS : HEARTBEAT_MS
    if (nowMs - active.lastPongMs > intervalMs && !this.#hasPending(active.key))
      this.#ping(active.path, nowMs, effects)
    // A heartbeat that is not answered makes the path suspect as silence does.
    if (nowMs - active.lastPongMs > intervalMs + patienceMs) this.#suspectNow(nowMs, effects)
  }

  #suspectNow(nowMs: number, effects: FinderEffect[]): void {
    if (this.#active === undefined || this.#suspect !== undefined) return
    this.#suspect = { sinceMs: nowMs, pings: 0, nextPingMs: nowMs }
    this.#continueSuspicion(this.#active, nowMs, effects)
  }

  #continueSuspicion(active: KnownPath, nowMs: number, effects: FinderEffect[]): void {
    const suspect = this.#suspect
    if (suspect === undefined || nowMs < suspect.nextPingMs) return
    if (suspect.pings < SUSPECT_PINGS) {
      suspect.pings += 1
      const isLast = suspect.pings === SUSPECT_PINGS
      const waitMs = Math.max(SUSPECT_PING_INTERVAL_MS, 1.5 * active.rttMs)
      suspect.nextPingMs = nowMs + (isLast ? waitMs : SUSPECT_PING_INTERVAL_MS)
      this.#ping(active.path, nowMs, effects)
      return
    }
    this.#suspect = undefined
    this.#dropPath(active, effects)
    this.#useRelay(nowMs, `${formatEndpoint(active.path.remote)} does not answer any more`, effects)
    this.#startSearch(nowMs, effects)
  }

  // --- search ----------------------------------------------------------------------------------

  /** Calls, and pings what is known of the peer by now; its answer to the call begins the rest. */
  #startSearch(nowMs: number, effects: FinderEffect[]): void {
    this.#call(nowMs, effects)
    this.#pingAll(nowMs, effects)
  }

  #pingAll(nowMs: number, effects: FinderEffect[]): void {
    const isFirst = this.#active === undefined && !this.#record.hasFailed
    this.#search = { startedMs: nowMs, times: isFirst ? SEARCH_AT_MS : RETRY_AT_MS, step: 0 }
    this.#nextSearchMs = nowMs + RETRY_INTERVAL_MS
    this.#continueSearch(nowMs, effects)
  }

  #continueSearch(nowMs: number, effects: FinderEffect[]): void {
    const search = this.#search
    if (search === undefined) return
    const { startedMs, times } = search
    for (let at = times[search.step]; at !== undefined; at = times[search.step]) {
      if (nowMs < startedMs + at) return
      search.step += 1
      for (const target of this.#targets.values()) this.#pingTarget(target, nowMs, effects)
    }
    if (nowMs < startedMs + (times.at(-1) ?? 0) + SEARCH_TAIL_MS) return
    this.#search = undefined
    if (this.#active !== undefined) return
    const own = this.#options.own()
    const peerMapping = this.#peerMapping
    this.#record.failed(nowMs, { own, peerMapping, peerCandidates: this.#peerCandidates })
  }

  /** `ports`: of our NAT, as a bracket has just learnt them. */
  #call(nowMs: number, effects: FinderEffect[], learnt?: readonly [low: number, high: number]): void {
    const { pair, random, relayPath, own } = this.#options
    const { candidates, mapping, isSequential, ports: known } = own()
    const ports = learnt ?? known
    this.#lastCallMs = nowMs
    const isLost = this.#active === undefined && this.#hasBeenDirect
    effects.push({
      kind: 'send',
      path: relayPath,
      bytes: pair.seal({ kind: 'call', mapping, ports, isSequential, isLost, candidates }, random),
    })
  }

  #handleCall(call: Extract<DiscoMessage, { kind: 'call' }>, nowMs: number, effects: FinderEffect[]): void {
    if (this.#active === undefined) this.#record.called(nowMs)
    this.#peerMapping = call.mapping
    this.#peerCandidates = call.candidates
    this.#peerPorts = call.ports
    this.#isPeerSequential = call.isSequential
    // To them the path is dead, so what we send there is not answered: theirs to notice, ours to believe.
    // One that was under way when the path was found again is old news.
    const active = this.#active
    if (call.isLost && active !== undefined && nowMs - active.lastPongMs > 2 * active.rttMs + FRESH_MS) {
      this.#dropPath(active, effects)
      this.#useRelay(nowMs, 'the peer has lost the path', effects)
    }
    this.#planHard(nowMs)
    const own = this.#options.own()
    const addresses: IpAddress[] = own.prefixes.map(({ address }) => address)
    const before = this.#targets.size
    const kept = new Map<string, Target>()
    for (const { endpoint, kind } of call.candidates) {
      if (kind === 'tcp' || !isWorthTrying(endpoint, addresses)) continue
      const key = formatEndpoint(endpoint)
      kept.set(key, this.#targets.get(key) ?? { endpoint, unanswered: 0, spanStartMs: nowMs })
    }
    this.#targets.clear()
    for (const [key, target] of kept) this.#targets.set(key, target)
    if (before === 0 && this.#targets.size > 0) this.#record.began(nowMs, this.#targets.size)
    if (nowMs - this.#lastCallMs > CALL_INTERVAL_MS) this.#call(nowMs, effects)
    // What they have begun is joined at its first step, with both sides sending at once.
    this.#pingAll(nowMs, effects)
  }

  // --- hard NATs -------------------------------------------------------------------------------

  /** What a bracket has learnt is swept at once: it is true for a moment only. */
  #planHard(nowMs: number): void {
    const plan = this.#hardPlan()
    if (plan === undefined || this.#active !== undefined || this.#hard !== undefined) return
    if (plan.technique === 'sweep') this.#hardAtMs = nowMs
    else if (nowMs >= this.#nextHardMs) this.#hardAtMs = Math.min(this.#hardAtMs, nowMs + HARD_DELAY_MS)
  }

  #hardPlan(): HardPlan | undefined {
    const { mapping, ports, isSequential } = this.#options.own()
    const peer = { mapping: this.#peerMapping, ports: this.#peerPorts, isSequential: this.#isPeerSequential }
    return planHardSearch({ mapping, ports, isSequential }, peer)
  }

  #startHard(nowMs: number, effects: FinderEffect[]): void {
    this.#hardAtMs = Number.POSITIVE_INFINITY
    const plan = this.#hardPlan()
    const { pair, random, own } = this.#options
    const { sockets, stunServer, prefixes } = own()
    const addresses = prefixes.map(({ address }) => address)
    const endpoints = this.#peerCandidates
      .filter(({ kind, endpoint }) => kind === 'reflexive' && endpoint.address.family === 4)
      .map(({ endpoint }) => endpoint)
      .filter((endpoint) => isWorthTrying(endpoint, addresses) && !isPrivate(endpoint.address))
    if (
      plan === undefined ||
      this.#active !== undefined ||
      sockets.v4 === undefined ||
      endpoints.length === 0
    )
      return
    const transactionId = random(12)
    const ping = pair.seal({ kind: 'ping', transactionId, sizeBytes: 0 }, random)
    this.#hardPing = { id: formatHex(transactionId), sentMs: nowMs }
    this.#hard = new HardSearch(
      {
        plan,
        mainSocket: sockets.v4,
        peerAddresses: endpoints.map(({ address }) => address),
        peerEndpoints: endpoints,
        stunServer,
        ping,
        random,
      },
      nowMs,
    )
    this.#record.tried(nowMs, plan)
    if (plan.sockets > 0) effects.push({ kind: 'openSockets', count: plan.sockets })
  }

  #runHard(
    input: (hard: HardSearch, effects: HardEffect[]) => void,
    nowMs: number,
    effects: FinderEffect[],
  ): void {
    const hard = this.#hard
    if (hard === undefined) return
    const list: HardEffect[] = []
    const before = hard.probes
    input(hard, list)
    this.#record.probed(hard.probes - before)
    for (const effect of list) {
      if (effect.kind === 'send') effects.push(effect)
      else this.#call(nowMs, effects, effect.ports)
    }
    if (hard.isDone) this.#endHard(nowMs, effects)
  }

  #endHard(nowMs: number, effects: FinderEffect[]): void {
    const hard = this.#hard
    if (hard === undefined) return
    this.#hard = undefined
    this.#hardGraceMs = Number.POSITIVE_INFINITY
    if (this.#active === undefined) {
      this.#nextHardMs = nowMs + this.#hardPauseMs
      this.#hardPauseMs = Math.min(MAX_HARD_PAUSE_MS, 2 * this.#hardPauseMs)
    } else this.#hardPauseMs = FIRST_HARD_PAUSE_MS
    if (hard.plan.sockets === 0) return
    for (const { path } of this.#paths.values()) {
      if (path.socket < 0) effects.push({ kind: 'keepSocket', socket: path.socket })
    }
    effects.push({ kind: 'closeSockets' })
  }

  // --- pings -----------------------------------------------------------------------------------

  #pingTarget(target: Target, nowMs: number, effects: FinderEffect[]): void {
    const { sockets } = this.#options.own()
    const socket = target.endpoint.address.family === 4 ? sockets.v4 : sockets.v6
    if (socket === undefined) return
    if (nowMs - target.spanStartMs > UNANSWERED_SPAN_MS) {
      target.spanStartMs = nowMs
      target.unanswered = 0
    }
    if (target.unanswered >= MAX_UNANSWERED) return
    target.unanswered += 1
    const path: Path = { socket, remote: target.endpoint, local: undefined }
    this.#ping(path, nowMs, effects)
    this.#record.probed()
  }

  #ping(path: Path, nowMs: number, effects: FinderEffect[]): void {
    const { pair, random } = this.#options
    const transactionId = random(12)
    this.#pending.set(formatHex(transactionId), { key: keyOf(path), path, sentMs: nowMs })
    if (this.#pending.size > MAX_PENDING) {
      const [oldest] = this.#pending.keys()
      if (oldest !== undefined) this.#pending.delete(oldest)
    }
    effects.push({
      kind: 'send',
      path,
      bytes: pair.seal({ kind: 'ping', transactionId, sizeBytes: 0 }, random),
    })
  }

  #pingRelay(nowMs: number, effects: FinderEffect[]): void {
    if (nowMs - this.#lastRelayPingMs < HEARTBEAT_BUSY_MS) return
    this.#lastRelayPingMs = nowMs
    this.#ping(this.#options.relayPath, nowMs, effects)
  }

  #handlePing(path: Path, transactionId: Uint8Array, nowMs: number, effects: FinderEffect[]): void {
    const { pair, random } = this.#options
    const bytes = pair.seal({ kind: 'pong', transactionId, observed: path.remote }, random)
    effects.push({ kind: 'send', path, bytes })
    const key = keyOf(path)
    if (key === this.#relayKey) return
    const proven = this.#paths.get(key)
    if (proven !== undefined) {
      proven.lastHeardMs = nowMs
      return
    }
    // The peer can reach us from there: it may be a candidate that it does not know of itself.
    const text = formatEndpoint(path.remote)
    const known = this.#targets.get(text)
    if (known === undefined && this.#targets.size >= MAX_CANDIDATES) return
    const target = known ?? { endpoint: path.remote, unanswered: 0, spanStartMs: nowMs }
    this.#targets.set(text, target)
    if (target.unanswered >= MAX_UNANSWERED || this.#hasPendingSince(key, nowMs - SUSPECT_PING_INTERVAL_MS))
      return
    target.unanswered += 1
    this.#ping(path, nowMs, effects)
    this.#record.probed()
  }

  #handlePong(path: Path, id: string, nowMs: number, effects: FinderEffect[]): void {
    const pending = this.#pending.get(id) ?? this.#pendingHard(path, id)
    if (pending === undefined) return
    this.#pending.delete(id)
    const rttMs = nowMs - pending.sentMs
    if (pending.key === this.#relayKey) {
      this.#relayRttMs = smooth(this.#relayRttMs, rttMs)
      return
    }
    const key = keyOf(path)
    if (key !== pending.key) return
    const target = this.#targets.get(formatEndpoint(path.remote))
    if (target !== undefined) target.unanswered = 0
    const known = this.#paths.get(key)
    const proven = known ?? this.#addPath(path, rttMs, nowMs, effects)
    proven.path = path
    proven.rttMs = smooth(known?.rttMs, rttMs)
    proven.lastPongMs = nowMs
    proven.lastHeardMs = nowMs
    proven.loss *= 0.8
    if (this.#active?.key === key) this.#suspect = undefined
    this.#choose(proven, nowMs, effects)
  }

  /** The one ping of a technique goes to many ends; whichever answers is proven. */
  #pendingHard(path: Path, id: string): Pending | undefined {
    const ping = this.#hardPing
    return ping?.id === id ? { key: keyOf(path), path, sentMs: ping.sentMs } : undefined
  }

  #addPath(path: Path, rttMs: number, nowMs: number, effects: FinderEffect[]): KnownPath {
    const own = this.#options.own()
    const kind = pathKindOf(
      path.remote,
      { candidates: this.#peerCandidates, isOpen: this.#peerMapping === 'none' },
      { prefixes: own.prefixes, isOpen: own.mapping === 'none' },
    )
    const known: KnownPath = {
      key: keyOf(path),
      path,
      kind,
      rttMs,
      lastPongMs: nowMs,
      lastHeardMs: nowMs,
      loss: 0,
    }
    if (this.#paths.size >= MAX_PATHS) this.#forgetOldestPath(effects)
    this.#paths.set(known.key, known)
    return known
  }

  /** A path on a socket of its own gives it back. */
  #dropPath(path: KnownPath, effects: FinderEffect[]): void {
    const { v4, v6 } = this.#options.own().sockets
    const { socket } = path.path
    this.#paths.delete(path.key)
    if (socket >= 0 && socket !== v4 && socket !== v6) effects.push({ kind: 'releaseSocket', socket })
  }

  #forgetOldestPath(effects: FinderEffect[]): void {
    let oldest: KnownPath | undefined
    for (const path of this.#paths.values()) {
      if (path !== this.#active && (oldest === undefined || path.lastPongMs < oldest.lastPongMs))
        oldest = path
    }
    if (oldest !== undefined) this.#dropPath(oldest, effects)
  }

  #forgetOldPaths(nowMs: number, effects: FinderEffect[]): void {
    for (const path of [...this.#paths.values()]) {
      if (path !== this.#active && nowMs - path.lastHeardMs > PATH_LIFETIME_MS) this.#dropPath(path, effects)
    }
  }

  /** Unanswered ones count as lost. */
  #forgetOldPings(nowMs: number): void {
    for (const [id, { key, sentMs }] of this.#pending) {
      if (nowMs - sentMs < 2000) return
      this.#pending.delete(id)
      const path = this.#paths.get(key)
      if (path !== undefined) path.loss = 0.8 * path.loss + 0.2
    }
  }

  #hasPending(key: string): boolean {
    return this.#hasPendingSince(key, Number.NEGATIVE_INFINITY)
  }

  #hasPendingSince(key: string, sinceMs: number): boolean {
    for (const pending of this.#pending.values()) {
      if (pending.key === key && pending.sentMs >= sinceMs) return true
    }
    return false
  }

  // --- choice ----------------------------------------------------------------------------------

  #choose(candidate: KnownPath, nowMs: number, effects: FinderEffect[]): void {
    const active = this.#active
    if (active === candidate) return
    if (active !== undefined && this.#suspect === undefined && !isBetter(candidate, active)) return
    this.#active = candidate
    this.#hasBeenDirect = true
    this.#suspect = undefined
    this.#activeSinceMs = nowMs
    this.#record.moved(nowMs, candidate.kind, candidate.path.remote)
    this.#hardAtMs = Number.POSITIVE_INFINITY
    effects.push({ kind: 'usePath', path: candidate.path, pathKind: candidate.kind })
    if (this.#hard === undefined) return
    // The two sides may have found different pairs: all that meet by now are to stay open.
    this.#hard.stopSending()
    this.#hardGraceMs = Math.min(this.#hardGraceMs, nowMs + HARD_GRACE_MS)
  }

  #useRelay(nowMs: number, reason: string, effects: FinderEffect[]): void {
    if (this.#active === undefined) return
    this.#active = undefined
    this.#suspect = undefined
    this.#activeSinceMs = nowMs
    this.#nextSearchMs = nowMs
    this.#record.lost(nowMs, reason)
    effects.push({ kind: 'usePath', path: this.#options.relayPath, pathKind: 'relay' }, { kind: 'lost' })
  }

  #isInUse(nowMs: number): boolean {
    const activity = this.#options.activity()
    if (nowMs - this.#wantedMs < BUSY_MS) return true
    return activity !== undefined && lastUseOf(activity) > 0 && nowMs - lastUseOf(activity) < USE_MS
  }
}

/** Nearer kinds win unless they are much slower; among equals the faster one, if it is so clearly. */
function isBetter(candidate: KnownPath, active: KnownPath): boolean {
  const order = PATH_KINDS.indexOf(candidate.kind) - PATH_KINDS.indexOf(active.kind)
  if (order < 0) return candidate.rttMs < 2 * active.rttMs + 30
  if (order > 0) return 2 * candidate.rttMs + 30 < active.rttMs
  return candidate.rttMs < MIN_GAIN * active.rttMs && candidate.rttMs + MIN_GAIN_MS < active.rttMs
}

function lastUseOf(activity: PeerActivity): number {
  return Math.max(activity.lastDataSendMs, activity.lastDataReceiveMs)
}

function smooth(before: number | undefined, sample: number): number {
  return before === undefined ? sample : 0.75 * before + 0.25 * sample
}

function keyOf(path: Path): string {
  return `${path.socket} ${formatEndpoint(path.remote)}`
}
