/**
 * All paths of one device: the finders of its peers, and what they share. Sans-IO.
 *
 * Datagrams of strangers cost one look into a map; what changes this node's own position is told to all
 * finders, and each decides by itself whether its peer needs to know.
 */

import type { Endpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import type { Path } from '../net/path.js'
import type { Prefix } from '../net/prefix.js'
import { MESSAGE_TRANSPORT } from '../wireguard/constants.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../wireguard/crypto.js'
import { DeadlineQueue } from '../wireguard/deadline-queue.js'
import type { PublicKey } from '../wireguard/keys.js'
import { messageTypeOf } from '../wireguard/messages.js'
import type { OwnKeys } from '../wireguard/peer-keys.js'
import { Tai64nClock } from '../wireguard/tai64n.js'
import { CallTimes } from './call-times.js'
import { discoTagOf, isDisco, RUN_BYTES } from './disco.js'
import { DiscoPair } from './disco-pair.js'
import type { FinderEffect, IsOverlay, OwnPosition, PeerActivity } from './finder-types.js'
import type { PortChoice } from './nat.js'
import { type FinderStatus, PathFinder } from './path-finder.js'
import { type DirectoryEntry, PeerDirectory } from './peer-directory.js'
import { ProbeCounters } from './probe-counters.js'
import type { ReflexiveEffect } from './reflexive.js'
import { SearchTurns } from './search-turns.js'
import { isStun } from './stun.js'
import { tryUnveil, veil } from './veil.js'
import { type DeviceSockets, type PortSurveyRequest, Whereabouts } from './whereabouts.js'

/** Names a peer for as long as it is there: its keys change. Never used again. */
export type PeerId = number

/** See FinderEffect; with the peer that it is about. */
export type PathEffect =
  | Extract<FinderEffect, { kind: 'send' }>
  /** Came in on a socket that does not carry data yet: counts as what came over the relay. */
  | { readonly kind: 'takeData'; readonly from: Path; readonly bytes: Uint8Array }
  /** How many sessions the router has left on the way to one of the servers, answered by handleRoom. */
  | { readonly kind: 'measureRoom'; readonly servers: readonly Endpoint[] }
  /** A sign that connections to servers may be dead too: a path fell silent, or this node is seen elsewhere. */
  | { readonly kind: 'doubtServers' }
  | (Exclude<
      FinderEffect,
      { kind: 'send' | 'suspect' | 'lost' | 'full' | 'askRoom' | 'askTurn' | 'endTurn' }
    > & {
      readonly publicKey: PublicKey
      readonly peer: PeerId
    })

export interface PathManagerOptions {
  readonly crypto: Crypto
  readonly random: RandomBytes
  /** This node's tunnel key. */
  readonly staticKey: DhPrivateKey
  /** Of the inner interface. */
  readonly mtu: () => number
  readonly isOverlay: IsOverlay
  /** For timestamps of calls only. */
  readonly wallNowMs: () => number
}

export interface ManagedPeer {
  /** Who it is, whatever its keys. */
  readonly identity: string
  readonly publicKey: PublicKey
  /** The peer may still use it. */
  readonly previousKey?: PublicKey | undefined
  readonly relayPath: Path
  readonly activity: () => PeerActivity | undefined
}

interface Entry extends DirectoryEntry {
  readonly id: PeerId
  readonly identity: string
  readonly relayPath: Path
  readonly finder: PathFinder
}

export class PathManager {
  readonly counters: ProbeCounters = new ProbeCounters()
  readonly #options: PathManagerOptions
  readonly #peers = new PeerDirectory<Entry>()
  #ownKeys: OwnKeys
  #nextId = 1
  /** So that a turn, and above all a stranger's datagram, costs the same however many peers there are. */
  readonly #deadlines = new DeadlineQueue<Entry>()
  readonly #whereabouts: Whereabouts
  #isRefreshDue = false
  readonly #tai64n = new Tai64nClock()
  readonly #callTimes = new CallTimes()
  /** Whose searches wait for `measureRoom`. */
  readonly #waiting = new Set<Entry>()
  readonly #turns = new SearchTurns<Entry>()
  /** Says to peers that this program was started anew. */
  readonly #run: number

  constructor(options: PathManagerOptions) {
    this.#options = options
    this.#ownKeys = { current: options.staticKey, previous: undefined }
    const { random, mtu, isOverlay } = options
    this.#whereabouts = new Whereabouts({ random, mtu, isOverlay })
    this.#run = random(RUN_BYTES).reduce((run, byte) => run * 256 + byte, 0)
  }

  get own(): OwnPosition {
    return this.#whereabouts.position
  }

  /** To be asked, of IPv4. */
  get servers(): readonly Endpoint[] {
    return this.#whereabouts.servers
  }

  status(publicKey: PublicKey): FinderStatus | undefined {
    return this.#peers.find(publicKey)?.finder.status()
  }

  // --- commands --------------------------------------------------------------------------------

  /** False for a key of low order, or of a peer that is there. */
  addPeer(peer: ManagedPeer, nowMs: number, effects: PathEffect[]): boolean {
    const { crypto, random, wallNowMs } = this.#options
    const { identity, publicKey, previousKey, relayPath, activity } = peer
    const isThere = this.#peers.get(publicKey) !== undefined
    const pair = isThere ? undefined : DiscoPair.tryCreate(crypto, this.#ownKeys.current, publicKey)
    if (pair === undefined) return false
    const timestamp = (): Uint8Array => this.#tai64n.next(wallNowMs())
    const run = this.#run
    const onInside = (): void => {
      this.counters.inside += 1
    }
    const options = { pair, random, relayPath, activity, timestamp, run, onInside, own: () => this.own }
    const finder = new PathFinder(options, nowMs)
    const id = this.#nextId++
    const entry: Entry = { id, identity, publicKey, previousKey, relayPath, pair, finder }
    this.#peers.enter(entry, this.#ownKeys)
    this.#deadlines.set(entry, finder.nextDeadlineMs(nowMs))
    effects.push({ kind: 'usePath', publicKey, peer: id, path: relayPath, pathKind: 'relay' })
    return true
  }

  removePeer(publicKey: PublicKey, effects: PathEffect[]): void {
    const entry = this.#peers.get(publicKey)
    if (entry === undefined) return
    const list: FinderEffect[] = []
    entry.finder.close(list)
    this.#push(entry, list, effects)
    this.#peers.leave(entry)
    this.#deadlines.delete(entry)
    this.#waiting.delete(entry)
    this.#turns.end(entry)
    entry.pair.wipe()
  }

  /** The same peer by other keys: its paths stay. `before`: any key that it had. */
  setPeerKeys(before: PublicKey, publicKey: PublicKey, previousKey: PublicKey | undefined): void {
    const entry = this.#peers.find(before)
    const owner = this.#peers.get(publicKey)
    if (entry === undefined || (owner !== undefined && owner !== entry)) return
    this.#peers.leave(entry)
    entry.publicKey = publicKey
    entry.previousKey = previousKey
    this.#peers.enter(entry, this.#ownKeys)
  }

  /** This node by other keys. Costs a Diffie-Hellman for each peer. */
  setOwnKeys(keys: OwnKeys): void {
    this.#ownKeys = keys
    for (const entry of [...this.#peers.all]) {
      this.#peers.leave(entry)
      this.#peers.enter(entry, keys)
    }
  }

  // --- this node's own position ----------------------------------------------------------------

  setServers(servers: readonly Endpoint[], nowMs: number, effects: PathEffect[]): void {
    this.#move(effects, (whereabouts, sends) => whereabouts.setServers(servers, nowMs, sends))
  }

  setSockets(sockets: DeviceSockets, nowMs: number, effects: PathEffect[]): void {
    this.#move(effects, (whereabouts, sends) => whereabouts.setSockets(sockets, nowMs, sends))
    this.#forAll(nowMs, effects, (finder, list) => finder.handleSocketsChanged(nowMs, list))
  }

  /** Addresses of this machine with their prefixes; those of overlays left out. */
  setAddresses(prefixes: readonly Prefix[], nowMs: number, effects: PathEffect[]): void {
    this.#move(effects, (whereabouts, sends) => whereabouts.setAddresses(prefixes, nowMs, sends))
    this.#forAll(nowMs, effects, (finder, list) => finder.handleNetworkChanged(nowMs, list))
  }

  /** Routes or tunnels of this machine are others: what leads into an overlay now is left. */
  handleRoutesChanged(nowMs: number, effects: PathEffect[]): void {
    const isMoved = this.#move(effects, (whereabouts, sends) => whereabouts.handleRoutesChanged(nowMs, sends))
    this.#forAll(nowMs, effects, (finder, list) => finder.handleRoutesChanged(nowMs, list))
    if (isMoved) this.#tellChange(nowMs, effects)
  }

  /**
   * The external port that a router maps to the data socket, or undefined. Its address is the one that servers
   * see: what routers say of it themselves is often wrong.
   */
  setMappedPort(port: number | undefined, nowMs: number, effects: PathEffect[]): void {
    this.#whereabouts.setMappedPort(port)
    this.#tellChange(nowMs, effects)
  }

  /** Of the router that maps it, as it says itself; of use behind a carrier's NAT only. */
  setRouterAddress(address: IpAddress | undefined, nowMs: number, effects: PathEffect[]): void {
    this.#whereabouts.setRouterAddress(address)
    this.#tellChange(nowMs, effects)
  }

  /** The same of the port on which this node takes TCP connections. */
  setMappedTcpPort(port: number | undefined, nowMs: number, effects: PathEffect[]): void {
    this.#whereabouts.setMappedTcpPort(port)
    this.#tellChange(nowMs, effects)
  }

  /** IPv4 from which servers see this node connect by TCP: where UDP does not come through, no other is known. */
  setTcpAddress(address: IpAddress, nowMs: number, effects: PathEffect[]): void {
    if (this.#whereabouts.setTcpAddress(address)) this.#tellChange(nowMs, effects)
  }

  /** On which this node takes TCP connections; 0 for none. */
  setTcpPort(port: number, nowMs: number, effects: PathEffect[]): void {
    this.#whereabouts.setTcpPort(port)
    this.#tellChange(nowMs, effects)
  }

  /**
   * Servers to ask how this node's NAT chooses ports, if that matters and is not known of this network.
   * Whoever asks tells the outcome by setPortChoice.
   */
  takePortSurvey(): PortSurveyRequest | undefined {
    return this.#whereabouts.takePortSurvey()
  }

  setPortChoice(seenAs: string, choice: PortChoice | undefined, nowMs: number, effects: PathEffect[]): void {
    if (!this.#whereabouts.setPortChoice(seenAs, choice)) return
    this.#tellChange(nowMs, effects)
  }

  /** Of an idle mapping of this node's NAT; undefined if it is not known, as after any change of the network. */
  setLifetime(lifetimeMs: number | undefined): void {
    this.#whereabouts.setLifetime(lifetimeMs)
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** A datagram of STUN or disco. */
  handleProbe(path: Path, bytes: Uint8Array, nowMs: number, effects: PathEffect[]): void {
    const veiled = tryUnveil(bytes)
    if (veiled !== undefined || isStun(bytes)) {
      if (!this.#whereabouts.handleAnswer(path, veiled ?? bytes, veiled !== undefined)) return
      effects.push({ kind: 'doubtServers' })
      this.#tellChange(nowMs, effects)
      return
    }
    const entry = this.#peers.findByTag(discoTagOf(bytes))
    if (entry === undefined) {
      this.counters.unknown += 1
      return
    }
    const message = entry.pair.open(bytes)
    if (message === undefined) {
      this.counters.malformed += 1
      return
    }
    if (message.kind === 'call' && !this.#callTimes.take(entry.identity, message.timestamp)) {
      this.counters.replayed += 1
      return
    }
    this.#collect(entry, nowMs, effects, (list) => entry.finder.handleMessage(path, message, nowMs, list))
  }

  /** Data is about to flow to this peer. */
  handleWanted(publicKey: PublicKey, nowMs: number, effects: PathEffect[]): void {
    this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleWanted(nowMs, list))
  }

  /** Hub or relay has come up: what carries calls. */
  handleCarrierUp(nowMs: number, effects: PathEffect[]): void {
    this.#forAll(nowMs, effects, (finder, list) => finder.handleCarrierUp(nowMs, list))
  }

  /** The hub sees the peer again. */
  handleOnline(publicKey: PublicKey, nowMs: number, effects: PathEffect[]): void {
    this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleOnline(nowMs, list))
  }

  /** What `measureRoom` asked for: see RoomSurvey. */
  handleRoom(room: number | undefined, nowMs: number, effects: PathEffect[]): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    const sessions = this.#whereabouts.setRoom(room, waiting.length)
    for (const entry of waiting) {
      this.#collect(entry, nowMs, effects, (list) => entry.finder.handleRoom(sessions, nowMs, list))
    }
  }

  /** What `openSockets` asked for. False if nobody wants them any more. */
  handleSockets(
    publicKey: PublicKey,
    sockets: readonly number[],
    nowMs: number,
    effects: PathEffect[],
  ): boolean {
    let isWanted = false
    this.#tell(publicKey, nowMs, effects, (finder, list) => {
      isWanted = finder.handleSockets(sockets, nowMs, list)
    })
    return isWanted
  }

  /** A datagram on a socket of a search for this peer. */
  handleSearchDatagram(
    publicKey: PublicKey,
    path: Path,
    bytes: Uint8Array,
    nowMs: number,
    effects: PathEffect[],
  ): void {
    const stun = tryUnveil(bytes) ?? bytes
    if (isStun(stun)) {
      this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleStun(path, stun, nowMs, list))
    } else if (isDisco(bytes)) this.handleProbe(path, bytes, nowMs, effects)
    else if (messageTypeOf(bytes) === MESSAGE_TRANSPORT && !this.#options.isOverlay(path.remote.address)) {
      // The peer may send data to a port as soon as its probe was answered from there.
      const entry = this.#peers.find(publicKey)
      if (entry !== undefined) effects.push({ kind: 'takeData', from: entry.relayPath, bytes })
    }
  }

  /** What became of a socket to be kept: see PathFinder. False if no path needs it any more. */
  handleAdopted(
    publicKey: PublicKey,
    before: number,
    after: number | undefined,
    nowMs: number,
    effects: PathEffect[],
  ): boolean {
    let isUsed = false
    this.#tell(publicKey, nowMs, effects, (finder, list) => {
      isUsed = finder.handleAdopted(before, after, nowMs, list)
    })
    return isUsed
  }

  /** What `prepareTcp` asked for. */
  handleTcpReady(publicKey: PublicKey, own: readonly Endpoint[], nowMs: number, effects: PathEffect[]): void {
    this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleTcpReady(own, nowMs, list))
  }

  /** A TCP connection that `dialTcp` asked for. */
  handleStream(publicKey: PublicKey, path: Path, nowMs: number, effects: PathEffect[]): void {
    this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleStream(path, nowMs, list))
  }

  handleStreamClosed(publicKey: PublicKey, path: Path, nowMs: number, effects: PathEffect[]): void {
    this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleStreamClosed(path, nowMs, list))
  }

  nextDeadlineMs(nowMs: number): number {
    const ownMs = this.#isRefreshDue ? nowMs : this.#whereabouts.nextDeadlineMs(nowMs)
    return Math.min(ownMs, this.#deadlines.nextMs, this.#turns.nextDeadlineMs(nowMs))
  }

  handleTimeout(nowMs: number, effects: PathEffect[]): void {
    const isMoved = this.#move(effects, (whereabouts, sends) => whereabouts.handleTimeout(nowMs, sends))
    if (isMoved) this.#tellChange(nowMs, effects)
    if (this.#isRefreshDue) {
      this.#isRefreshDue = false
      this.#move(effects, (whereabouts, sends) => whereabouts.refresh(nowMs, sends))
    }
    const searching = this.#turns.takeNext(nowMs)
    if (searching !== undefined) {
      this.#collect(searching, nowMs, effects, (list) => searching.finder.handleTurn(nowMs, list))
    }
    for (let left = this.#peers.size; left > 0; left--) {
      const entry = this.#deadlines.takeDue(nowMs)
      if (entry === undefined) return
      this.#collect(entry, nowMs, effects, (list) => entry.finder.handleTimeout(nowMs, list))
    }
  }

  // --- inside ----------------------------------------------------------------------------------

  /** What the whereabouts send joins the other effects. */
  #move<T>(effects: PathEffect[], input: (whereabouts: Whereabouts, sends: ReflexiveEffect[]) => T): T {
    const sends: ReflexiveEffect[] = []
    const result = input(this.#whereabouts, sends)
    effects.push(...sends)
    return result
  }

  #tellChange(nowMs: number, effects: PathEffect[]): void {
    this.#forAll(nowMs, effects, (finder, list) => finder.handleOwnChanged(nowMs, list))
  }

  /** Nothing happens if the peer is gone. */
  #tell(
    publicKey: PublicKey,
    nowMs: number,
    effects: PathEffect[],
    input: (finder: PathFinder, list: FinderEffect[]) => void,
  ): void {
    const entry = this.#peers.find(publicKey)
    if (entry !== undefined) this.#collect(entry, nowMs, effects, (list) => input(entry.finder, list))
  }

  #forAll(
    nowMs: number,
    effects: PathEffect[],
    input: (finder: PathFinder, list: FinderEffect[]) => void,
  ): void {
    for (const entry of this.#peers.all) {
      this.#collect(entry, nowMs, effects, (list) => input(entry.finder, list))
    }
  }

  #collect(entry: Entry, nowMs: number, effects: PathEffect[], input: (list: FinderEffect[]) => void): void {
    const list: FinderEffect[] = []
    input(list)
    this.#deadlines.set(entry, entry.finder.nextDeadlineMs(nowMs))
    this.#push(entry, list, effects)
  }

  #push(entry: Entry, list: readonly FinderEffect[], effects: PathEffect[]): void {
    const { publicKey, id: peer } = entry
    for (const effect of list) {
      if (effect.kind === 'suspect' || effect.kind === 'lost') {
        this.#isRefreshDue = true
        effects.push({ kind: 'doubtServers' })
      } else if (effect.kind === 'full') this.#whereabouts.setFull(effect.sockets)
      else if (effect.kind === 'askRoom') this.#askRoom(entry, effects)
      else if (effect.kind === 'askTurn') this.#turns.ask(entry, effect.isAwaited)
      else if (effect.kind === 'endTurn') this.#turns.end(entry)
      else if (effect.kind === 'send') effects.push(this.#veiled(effect))
      else effects.push({ ...effect, publicKey, peer })
    }
  }

  /** A search asks servers too. */
  #veiled(effect: Extract<FinderEffect, { kind: 'send' }>): Extract<FinderEffect, { kind: 'send' }> {
    if (!this.own.isStunDropped || !isStun(effect.bytes)) return effect
    return { ...effect, bytes: veil(effect.bytes, this.#options.random) }
  }

  /** One measurement for all that wait: two at once would be in each other's way. */
  #askRoom(entry: Entry, effects: PathEffect[]): void {
    if (this.#waiting.size === 0) effects.push({ kind: 'measureRoom', servers: this.servers })
    this.#waiting.add(entry)
  }
}
