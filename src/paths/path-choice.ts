/**
 * Which of the proven paths to a peer carries data, and when it is left. Sans-IO.
 *
 * Data moves to a path that is clearly better. While data goes out and nothing comes back, the path is pinged;
 * if that stays unanswered too, data goes over the relay at once. So it does when pings come through and data, or full
 * datagrams, do not.
 */

import { formatEndpoint } from '../net/endpoint.js'
import { equalIp } from '../net/ip.js'
import type { Path } from '../net/path.js'
import type { PathKind } from './candidates.js'
import type { ReceivedAgo } from './data-proof.js'
import type { FinderEffect, OwnPosition, PeerActivity } from './finder-types.js'
import { HandshakeRoute } from './handshake-route.js'
import { isBetter, type KnownPath, KnownPaths, keyOf } from './known-paths.js'
import { heartbeatMs, Liveness } from './liveness.js'
import type { PathRecord } from './path-record.js'
import type { PingBook, PingRole } from './ping-book.js'
import type { Targets } from './targets.js'

/** A path that is so late with an answer is not believed in any more. */
const PROOF_GRACE_MS = 21_000
/** A pong within this time, and two round trips, is newer than what the peer says of the path. */
const FRESH_MS = 50

export interface ChoiceOptions {
  readonly relayPath: Path
  readonly own: () => OwnPosition
  readonly activity: () => PeerActivity | undefined
  readonly pings: PingBook
  readonly targets: Targets
  readonly record: PathRecord
  /** Undefined while it is not known. */
  readonly relayRttMs: () => number | undefined
}

/** An answer to a ping of ours. */
export interface Proof {
  readonly path: Path
  readonly kind: PathKind
  readonly rttMs: number
  readonly role: PingRole
  /** The ping. */
  readonly sentMs: number
  readonly received: ReceivedAgo
}

export class PathChoice {
  readonly #options: ChoiceOptions
  readonly #paths = new KnownPaths()
  readonly #liveness = new Liveness()
  #active: KnownPath | undefined
  #sinceMs: number
  #hasBeenDirect = false
  /** Of the paths that handshakes take where they do not go where data goes. */
  #handshakeKeys = ''

  constructor(options: ChoiceOptions, nowMs: number) {
    this.#options = options
    this.#sinceMs = nowMs
  }

  // --- getters ---------------------------------------------------------------------------------

  /** Undefined for the relay. */
  get active(): KnownPath | undefined {
    return this.#active
  }

  get sinceMs(): number {
    return this.#sinceMs
  }

  /** Data goes over the relay, or over TCP: a path over UDP would be better. */
  get isFar(): boolean {
    return this.#active === undefined || this.#active.kind === 'tcp'
  }

  /** There was a path, and now there is none. */
  get isLost(): boolean {
    return this.#active === undefined && this.#hasBeenDirect
  }

  /** It is not proven yet that the peer gets what goes over the active path. */
  get isOnTrial(): boolean {
    return this.#active?.proof.isProven === false
  }

  /** Or over the hub, which stands in for a relay: the same peer under another number. */
  isRelay({ socket, remote }: Path): boolean {
    const { relayPath } = this.#options
    return socket === relayPath.socket && equalIp(remote.address, relayPath.remote.address)
  }

  /** TCP connections share the relay's socket: their numbers are the ports of their endpoints. */
  isStream(path: Path): boolean {
    return path.socket === this.#options.relayPath.socket && !this.isRelay(path)
  }

  /** Over the relay, as another peer's: those of connections have no address. */
  isForeign(path: Path): boolean {
    return this.isStream(path) && path.remote.address.bytes.some((byte) => byte !== 0)
  }

  /** When to look at the active path: it is suspect. Infinity if it is not. */
  nextDeadlineMs(): number {
    return this.#liveness.nextDeadlineMs()
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** The peer has pinged over it. False if it is not known. */
  heard(path: Path, nowMs: number): boolean {
    const known = this.#paths.get(path)
    if (known !== undefined) known.lastHeardMs = nowMs
    return known !== undefined
  }

  /** True if data moves there now. */
  proven(proof: Proof, nowMs: number, effects: FinderEffect[]): boolean {
    const { path, kind, rttMs, role, sentMs, received } = proof
    // Late answers of a path that was just left.
    if (kind !== 'tcp' && this.#options.targets.isBarred(path.remote, nowMs)) return false
    const isNew = this.#paths.get(path) === undefined
    const { known, dropped } = this.#paths.proven(path, kind, rttMs, nowMs, this.#active)
    if (isNew && path.socket < 0) effects.push({ kind: 'keepSocket', socket: path.socket })
    if (dropped !== undefined) this.#drop(dropped, effects)
    if (role === 'long' || role === 'beside') known.width.handleAnswer(role === 'long')
    known.proof.handleAnswer(sentMs, received, role === 'afterData')
    this.#noteVirtue(known, role)
    if (this.#active === known) this.#liveness.clear()
    return this.#choose(known, nowMs, effects)
  }

  /** True if the active path was left. Called while data flows. */
  watch(nowMs: number, effects: FinderEffect[]): boolean {
    const active = this.#active
    if (active === undefined) return false
    this.#routeHandshakes(nowMs, effects)
    if (this.#isDeaf(active, nowMs, effects) || this.#isNarrow(active, nowMs, effects)) return true
    const { activity, own, pings } = this.#options
    const signs = {
      activity: activity(),
      sinceMs: this.#sinceMs,
      isPending: pings.isPending(active.path),
      lifetimeMs: own().lifetimeMs,
    }
    const wasDoubtful = this.#liveness.isDoubtful
    const verdict = this.#liveness.check(active, signs, nowMs)
    if (this.#liveness.isDoubtful && !wasDoubtful) effects.push({ kind: 'suspect' })
    if (verdict === 'ping') this.#ping(active.path, nowMs, effects)
    if (verdict !== 'dead') return false
    this.#leave(active, `${formatEndpoint(active.path.remote)} does not answer any more`, nowMs, effects)
    return true
  }

  /** While no data flows: true if the active path was left. */
  watchIdle(nowMs: number, effects: FinderEffect[]): boolean {
    const active = this.#active
    this.#routeHandshakes(nowMs, effects)
    const proofMs = heartbeatMs(this.#options.own().lifetimeMs) + PROOF_GRACE_MS
    if (active === undefined || nowMs - active.lastPongMs <= proofMs) return false
    this.#useRelay('nothing was sent for a while, so the path was given up', nowMs, effects)
    return true
  }

  /** The active path may be gone without a sign. */
  suspect(nowMs: number): void {
    if (this.#active !== undefined) this.#liveness.suspect(nowMs)
  }

  /**
   * To the peer the path is dead, so what we send there is not answered: its to notice, ours to believe. What
   * was under way when the path was found again is old news. True if the active path was left.
   */
  disbelieved(nowMs: number, effects: FinderEffect[]): boolean {
    const active = this.#active
    if (active === undefined || nowMs - active.lastPongMs <= 2 * active.rttMs + FRESH_MS) return false
    this.#leave(active, 'the peer has lost the path', nowMs, effects)
    return true
  }

  /** A connection has ended. True if the active path was left. */
  closed(path: Path, nowMs: number, effects: FinderEffect[]): boolean {
    const known = this.#paths.get(path)
    if (known === undefined) return false
    this.#paths.drop(known)
    if (this.#active !== known) return false
    this.#useRelay('the TCP connection was closed', nowMs, effects)
    return true
  }

  /** Routes are others: paths that lead into an overlay now are dropped. True if the active one was left. */
  leaveOverlays(nowMs: number, effects: FinderEffect[]): boolean {
    const { isOverlay } = this.#options.own()
    const before = this.#active
    for (const known of this.#paths.all) {
      const { remote } = known.path
      if (this.isStream(known.path) || !isOverlay(remote.address)) continue
      const reason = `the route to ${formatEndpoint(remote)} leads into a tunnel of this machine now`
      if (known === this.#active) this.#leave(known, reason, nowMs, effects)
      else this.#drop(known, effects)
    }
    return this.#active !== before
  }

  /** What became of `keepSocket`. Gives the paths over the socket that there are still. */
  adopted(before: number, after: number | undefined, nowMs: number, effects: FinderEffect[]): Path[] {
    if (after === undefined) {
      for (const known of this.#paths.over(before)) {
        if (known === this.#active) this.#leave(known, 'its socket is gone', nowMs, effects)
        else this.#drop(known, effects)
      }
      return []
    }
    const moved = this.#paths.renumber(before, after)
    const active = moved.find((known) => known === this.#active)
    if (active !== undefined) this.#use(active, nowMs, effects)
    return moved.map(({ path }) => path)
  }

  /** Pings are late, and paths silent. */
  handleTimeout(nowMs: number, effects: FinderEffect[]): void {
    for (const key of this.#options.pings.takeLate(nowMs)) this.#paths.lost(key)
    for (const path of this.#paths.silent(nowMs, this.#active)) this.#drop(path, effects)
  }

  /** All paths are gone. `reason`: why the active one was left. */
  clear(reason: string, nowMs: number, effects: FinderEffect[]): void {
    this.close(effects)
    this.#options.pings.clear()
    this.#useRelay(reason, nowMs, effects)
  }

  /** Gives back what the paths have. */
  close(effects: FinderEffect[]): void {
    for (const path of this.#paths.all) this.#drop(path, effects)
  }

  // --- inside ----------------------------------------------------------------------------------

  #choose(candidate: KnownPath, nowMs: number, effects: FinderEffect[]): boolean {
    const active = this.#active
    if (active === candidate) return false
    if (active !== undefined && !this.#liveness.isSuspect && !isBetter(candidate, active)) return false
    this.#active = candidate
    this.#hasBeenDirect = true
    this.#liveness.clear()
    this.#sinceMs = nowMs
    this.#options.record.moved(nowMs, candidate.kind, candidate.path.remote)
    // A socket of a search carries data once it is adopted.
    if (candidate.path.socket >= 0) this.#use(candidate, nowMs, effects)
    else this.#routeHandshakes(nowMs, effects)
    if (!candidate.width.isProven) this.#askWidth(candidate, nowMs, effects)
    return true
  }

  #use({ path, kind, proof }: KnownPath, nowMs: number, effects: FinderEffect[]): void {
    proof.begin(this.#options.relayRttMs(), nowMs)
    this.#routeHandshakes(nowMs, effects)
    effects.push({ kind: 'usePath', path, pathKind: kind })
  }

  /** A path over which short pings come through and full datagrams do not would swallow data. */
  #isNarrow(active: KnownPath, nowMs: number, effects: FinderEffect[]): boolean {
    // A path that answers nothing at all is liveness's to judge.
    const verdict = this.#liveness.isSuspect ? 'nothing' : active.width.check(active.rttMs, nowMs)
    if (verdict === 'ask') this.#askWidth(active, nowMs, effects)
    if (verdict !== 'failed') return false
    const { targets, record, own } = this.#options
    const { remote } = active.path
    targets.bar(remote, 'narrow', nowMs)
    record.flaw = 'PATH_NARROW'
    const reason = `${formatEndpoint(remote)} takes no datagrams of ${own().wideBytes} bytes`
    this.#leave(active, reason, nowMs, effects)
    return true
  }

  /** A path over which pings come through and data does not would swallow it too. */
  #isDeaf(active: KnownPath, nowMs: number, effects: FinderEffect[]): boolean {
    const { activity, pings, targets, record } = this.#options
    const signs = activity()
    if (signs === undefined || this.#liveness.isSuspect) return false
    const { path, proof, rttMs, width } = active
    const verdict = proof.check(signs, rttMs, nowMs)
    // What became deaf may have become narrow only.
    if (verdict === 'doubt') width.restart()
    if (verdict === 'keepalive') effects.push({ kind: 'sendKeepalive' })
    if (verdict === 'ask') {
      proof.asked(nowMs)
      effects.push({ kind: 'send', path, bytes: pings.create(path, nowMs, 'afterData') })
    }
    if (verdict !== 'failed') return false
    targets.bar(path.remote, 'deaf', nowMs)
    record.flaw = 'DATA_DROPPED'
    this.#leave(active, `${formatEndpoint(path.remote)} answers probes and gets no data`, nowMs, effects)
    return true
  }

  /** What was said against the last path is not true of this one. */
  #noteVirtue({ path, kind, proof, width }: KnownPath, role: PingRole): void {
    const { record, targets } = this.#options
    if (proof.isProven && record.flaw === 'DATA_DROPPED' && kind !== 'tcp') {
      record.flaw = undefined
      targets.unbar(path.remote)
    }
    if (role === 'long' && width.isProven && record.flaw === 'PATH_NARROW' && kind !== 'tcp')
      record.flaw = undefined
  }

  /** They go over the path that data takes, or over the relay. */
  #routeHandshakes(nowMs: number, effects: FinderEffect[]): void {
    const { activity, record, relayRttMs } = this.#options
    const active = this.#active
    const signs = activity()
    if (active !== undefined && signs !== undefined) {
      const { handshakes, proof, rttMs, loss, lastPongMs } = active
      const { isProven } = proof
      const answeredBy = this.#wayOf(signs.responsePath)
      const known = { answeredBy, isProven, rttMs, loss, lastPongMs, relayRttMs: relayRttMs() }
      const outcome = handshakes.check({ activity: signs, ...known }, nowMs)
      if (outcome !== 'nothing') record.droppedHandshakes(nowMs, outcome === 'dropped')
    }
    const paths = this.#handshakePaths()
    const keys = paths.map(keyOf).join()
    if (keys === this.#handshakeKeys) return
    this.#handshakeKeys = keys
    // One is unanswered: does the path answer at all?
    if (active !== undefined && (signs?.initiationMs ?? 0) > 0) this.#ping(active.path, nowMs, effects)
    const patienceMs = HandshakeRoute.patienceMs({ rttMs: active?.rttMs ?? 0, relayRttMs: relayRttMs() })
    effects.push({ kind: 'useHandshakePaths', paths, patienceMs })
  }

  #wayOf(path: Path | undefined): 'path' | 'relay' | undefined {
    if (path === undefined) return undefined
    return this.isRelay(path) ? 'relay' : 'path'
  }

  /** None: where data goes. */
  #handshakePaths(): readonly Path[] {
    const { relayPath } = this.#options
    const active = this.#active
    if (active === undefined || active.handshakes.way === 'path') return []
    // A socket of a search carries no data yet, and no handshakes.
    const isRelayOnly = active.handshakes.way === 'relay' || active.path.socket < 0
    return isRelayOnly ? [relayPath] : [active.path, relayPath]
  }

  #askWidth({ path, width }: KnownPath, nowMs: number, effects: FinderEffect[]): void {
    const { pings, own } = this.#options
    width.asked(nowMs)
    effects.push({ kind: 'send', path, bytes: pings.create(path, nowMs, 'long', own().wideBytes) })
    effects.push({ kind: 'send', path, bytes: pings.create(path, nowMs, 'beside') })
  }

  #ping(path: Path, nowMs: number, effects: FinderEffect[]): void {
    effects.push({ kind: 'send', path, bytes: this.#options.pings.create(path, nowMs) })
  }

  #leave(active: KnownPath, reason: string, nowMs: number, effects: FinderEffect[]): void {
    this.#drop(active, effects)
    this.#useRelay(reason, nowMs, effects)
  }

  #useRelay(reason: string, nowMs: number, effects: FinderEffect[]): void {
    const { record, relayPath } = this.#options
    if (this.#active === undefined) return
    this.#active = undefined
    this.#liveness.clear()
    this.#sinceMs = nowMs
    record.lost(nowMs, reason)
    effects.push({ kind: 'usePath', path: relayPath, pathKind: 'relay' }, { kind: 'lost' })
    this.#routeHandshakes(nowMs, effects)
  }

  /** What it has of its own is given back: a socket, a connection. */
  #drop({ path }: KnownPath, effects: FinderEffect[]): void {
    const known = this.#paths.get(path)
    if (known !== undefined) this.#paths.drop(known)
    const { v4, v6 } = this.#options.own().sockets
    const { socket } = path
    if (this.isStream(path)) effects.push({ kind: 'closeStream', path })
    else if (socket >= 0 && socket !== v4 && socket !== v6) effects.push({ kind: 'releaseSocket', socket })
  }
}
