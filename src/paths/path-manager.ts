/**
 * All paths of one device: the finders of its peers, and what they share. Sans-IO.
 *
 * Datagrams of strangers cost one look into a map; what changes this node's own position is told to all
 * finders, and each decides by itself whether its peer needs to know.
 */

import type { Endpoint } from '../net/endpoint.js'
import { equalIp, formatIp, type IpAddress } from '../net/ip.js'
import type { Path } from '../net/path.js'
import type { Prefix } from '../net/prefix.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../wireguard/crypto.js'
import { DeadlineQueue } from '../wireguard/deadline-queue.js'
import type { PublicKey } from '../wireguard/keys.js'
import type { OwnKeys } from '../wireguard/peer-keys.js'
import { isPrivate } from './candidates.js'
import { type Candidate, type CandidateKind, discoTagOf, isDisco, MAX_CANDIDATES } from './disco.js'
import { DiscoPair } from './disco-pair.js'
import type { FinderEffect, OwnPosition, PeerActivity } from './finder-types.js'
import { isHard, portsToTell } from './hard-search.js'
import type { Mapping, PortChoice } from './nat.js'
import { type FinderStatus, PathFinder } from './path-finder.js'
import { type DirectoryEntry, PeerDirectory } from './peer-directory.js'
import { Reflexive, type ReflexiveEffect } from './reflexive.js'
import { isStun } from './stun.js'

/** Names a peer for as long as it is there: its keys change. Never used again. */
export type PeerId = number

/** See FinderEffect; with the peer that it is about. */
export type PathEffect =
  | Extract<FinderEffect, { kind: 'send' }>
  | (Exclude<FinderEffect, { kind: 'send' | 'lost' | 'full' }> & {
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
}

export interface ManagedPeer {
  readonly publicKey: PublicKey
  /** The peer may still use it. */
  readonly previousKey?: PublicKey | undefined
  readonly relayPath: Path
  readonly activity: () => PeerActivity | undefined
}

export interface DeviceSockets {
  readonly v4: number | undefined
  readonly v6: number | undefined
  readonly port: number
}

/** Datagrams of probes that led to nobody, counted. */
export interface ProbeCounters {
  unknown: number
  malformed: number
}

/** Header and tag of a transport message. */
const MESSAGE_OVERHEAD_BYTES = 32
/** What an Ethernet carries of IPv4 and UDP; probes are not longer. */
const MAX_WIDE_BYTES = 1472

/** Of which it is remembered how their NATs choose ports. */
const MAX_NETWORKS = 16
/** Of what a router was seen to keep: the rest is for whoever else is behind it. */
const FULL_SHARE = 0.6

interface Entry extends DirectoryEntry {
  readonly id: PeerId
  readonly finder: PathFinder
}

export class PathManager {
  readonly counters: ProbeCounters = { unknown: 0, malformed: 0 }
  readonly #options: PathManagerOptions
  readonly #peers = new PeerDirectory<Entry>()
  #ownKeys: OwnKeys
  #nextId = 1
  /** So that a turn, and above all a stranger's datagram, costs the same however many peers there are. */
  readonly #deadlines = new DeadlineQueue<Entry>()
  readonly #reflexive: Reflexive
  #sockets: DeviceSockets = { v4: undefined, v6: undefined, port: 0 }
  #prefixes: readonly Prefix[] = []
  #mappedPort: number | undefined
  #tcpPort = 0
  #mappedTcpPort: number | undefined
  #tcpAddress: IpAddress | undefined
  #choice: PortChoice | undefined
  #isSurveyDone = false
  #isRefreshDue = false
  /** What all finders are to be told of. */
  #isChangeDue = false
  /** How many sockets were too many, and of which external addresses that is true. */
  #full: { readonly seenAs: string; readonly sockets: number } | undefined
  /** Of which external addresses the ports were surveyed. */
  #surveyed = ''
  /** What was found, by the external addresses: the oldest networks are forgotten. */
  readonly #choices = new Map<string, PortChoice | undefined>()
  #servers: readonly Endpoint[] = []
  #lifetimeMs: number | undefined
  #own: OwnPosition

  constructor(options: PathManagerOptions) {
    this.#options = options
    this.#ownKeys = { current: options.staticKey, previous: undefined }
    this.#reflexive = new Reflexive(options.random)
    this.#own = this.#position()
  }

  get own(): OwnPosition {
    return this.#own
  }

  /** Of the nearest STUN server. */
  get stunRttMs(): number | undefined {
    return this.#reflexive.rttMs
  }

  /** To be asked, of IPv4. */
  get servers(): readonly Endpoint[] {
    return this.#servers
  }

  status(publicKey: PublicKey): FinderStatus | undefined {
    return this.#peers.find(publicKey)?.finder.status()
  }

  // --- commands --------------------------------------------------------------------------------

  /** False for a key of low order, or of a peer that is there. */
  addPeer(peer: ManagedPeer, nowMs: number, effects: PathEffect[]): boolean {
    const { crypto, random } = this.#options
    const { publicKey, previousKey, relayPath, activity } = peer
    const isThere = this.#peers.get(publicKey) !== undefined
    const pair = isThere ? undefined : DiscoPair.tryCreate(crypto, this.#ownKeys.current, publicKey)
    if (pair === undefined) return false
    const finder = new PathFinder({ pair, random, relayPath, activity, own: () => this.#own }, nowMs)
    const id = this.#nextId++
    const entry: Entry = { id, publicKey, previousKey, pair, finder }
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

  setServers(servers: readonly Endpoint[], nowMs: number, effects: PathEffect[]): void {
    this.#servers = servers.filter(({ address }) => address.family === 4)
    this.#ask({ servers }, nowMs, effects)
  }

  setSockets(sockets: DeviceSockets, nowMs: number, effects: PathEffect[]): void {
    this.#sockets = sockets
    this.#ask({ sockets }, nowMs, effects)
    this.#update()
    this.#forAll(nowMs, effects, (finder, list) => finder.handleSocketsChanged(nowMs, list))
  }

  /** Addresses of this machine with their prefixes; those of overlays left out. */
  setAddresses(prefixes: readonly Prefix[], nowMs: number, effects: PathEffect[]): void {
    this.#prefixes = prefixes
    this.#ask({ ownAddresses: prefixes.map(({ address }) => address) }, nowMs, effects)
    this.#update()
    this.#forAll(nowMs, effects, (finder, list) => finder.handleNetworkChanged(nowMs, list))
  }

  /**
   * The external port that a router maps to the data socket, or undefined. Its address is the one that servers
   * see: what routers say of it themselves is often wrong.
   */
  setMappedPort(port: number | undefined, nowMs: number, effects: PathEffect[]): void {
    this.#mappedPort = port
    this.#tellChange(nowMs, effects)
  }

  /** The same of the port on which this node takes TCP connections. */
  setMappedTcpPort(port: number | undefined, nowMs: number, effects: PathEffect[]): void {
    this.#mappedTcpPort = port
    this.#tellChange(nowMs, effects)
  }

  /** IPv4 from which servers see this node connect by TCP: where UDP does not come through, no other is known. */
  setTcpAddress(address: IpAddress, nowMs: number, effects: PathEffect[]): void {
    if (address.family !== 4) return
    if (this.#tcpAddress !== undefined && equalIp(this.#tcpAddress, address)) return
    this.#tcpAddress = address
    this.#tellChange(nowMs, effects)
  }

  /** On which this node takes TCP connections; 0 for none. */
  setTcpPort(port: number, nowMs: number, effects: PathEffect[]): void {
    this.#tcpPort = port
    this.#tellChange(nowMs, effects)
  }

  /**
   * Servers to ask how this node's NAT chooses ports, if that matters and is not known of this network.
   * Whoever asks tells the outcome by setPortChoice.
   */
  takePortSurvey(): readonly Endpoint[] | undefined {
    const seenAs = this.#seenAs()
    if (!isHard(this.#reflexive.mapping) || this.#surveyed === seenAs) return undefined
    this.#surveyed = seenAs
    this.#choice = this.#choices.get(seenAs)
    this.#isSurveyDone = this.#choices.has(seenAs)
    this.#isChangeDue = this.#isSurveyDone
    return this.#isSurveyDone ? undefined : this.#servers
  }

  setPortChoice(choice: PortChoice | undefined, nowMs: number, effects: PathEffect[]): void {
    this.#choice = choice
    this.#choices.set(this.#surveyed, choice)
    const [oldest] = this.#choices.keys()
    if (this.#choices.size > MAX_NETWORKS && oldest !== undefined) this.#choices.delete(oldest)
    this.#isSurveyDone = true
    this.#tellChange(nowMs, effects)
  }

  /** Of an idle mapping of this node's NAT; undefined if it is not known, as after any change of the network. */
  setLifetime(lifetimeMs: number | undefined): void {
    this.#lifetimeMs = lifetimeMs
    this.#reflexive.setLifetime(lifetimeMs)
    this.#update()
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** A datagram of STUN or disco. */
  handleProbe(path: Path, bytes: Uint8Array, nowMs: number, effects: PathEffect[]): void {
    if (isStun(bytes)) {
      if (this.#reflexive.handleAnswer(path, bytes, nowMs)) this.#tellChange(nowMs, effects)
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
    this.#collect(entry, nowMs, effects, (list) => entry.finder.handleMessage(path, message, nowMs, list))
  }

  /** Data is about to flow to this peer. */
  handleWanted(publicKey: PublicKey, nowMs: number, effects: PathEffect[]): void {
    this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleWanted(nowMs, list))
  }

  /** What `openSockets` asked for. */
  handleSockets(
    publicKey: PublicKey,
    sockets: readonly number[],
    nowMs: number,
    effects: PathEffect[],
  ): void {
    this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleSockets(sockets, nowMs, list))
  }

  /** A datagram on a socket of a search for this peer. */
  handleSearchDatagram(
    publicKey: PublicKey,
    path: Path,
    bytes: Uint8Array,
    nowMs: number,
    effects: PathEffect[],
  ): void {
    if (isStun(bytes)) {
      this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleStun(path, bytes, nowMs, list))
    } else if (isDisco(bytes)) this.handleProbe(path, bytes, nowMs, effects)
  }

  /** A socket of a search carries data now, under another number. */
  handleAdopted(
    publicKey: PublicKey,
    before: number,
    after: number,
    nowMs: number,
    effects: PathEffect[],
  ): void {
    this.#tell(publicKey, nowMs, effects, (finder, list) => finder.handleAdopted(before, after, nowMs, list))
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
    const isDue = this.#isRefreshDue || this.#isChangeDue
    return Math.min(isDue ? nowMs : this.#reflexive.nextDeadlineMs(), this.#deadlines.nextMs)
  }

  handleTimeout(nowMs: number, effects: PathEffect[]): void {
    const sends: ReflexiveEffect[] = []
    const isChanged = this.#reflexive.nextDeadlineMs() <= nowMs && this.#reflexive.handleTimeout(nowMs, sends)
    effects.push(...sends)
    if (isChanged || this.#isChangeDue) this.#tellChange(nowMs, effects)
    if (this.#isRefreshDue) this.#refresh(nowMs, effects)
    for (let left = this.#peers.size; left > 0; left--) {
      const entry = this.#deadlines.takeDue(nowMs)
      if (entry === undefined) return
      this.#collect(entry, nowMs, effects, (list) => entry.finder.handleTimeout(nowMs, list))
    }
  }

  // --- inside ----------------------------------------------------------------------------------

  /** A path was lost: servers tell whether our NAT maps us elsewhere now. */
  #refresh(nowMs: number, effects: PathEffect[]): void {
    this.#isRefreshDue = false
    const sends: ReflexiveEffect[] = []
    this.#reflexive.refresh(nowMs, sends)
    effects.push(...sends)
  }

  #ask(position: Parameters<Reflexive['configure']>[0], nowMs: number, effects: PathEffect[]): void {
    const sends: ReflexiveEffect[] = []
    this.#reflexive.configure(position, nowMs, sends)
    effects.push(...sends)
  }

  #tellChange(nowMs: number, effects: PathEffect[]): void {
    this.#isChangeDue = false
    this.#update()
    this.#forAll(nowMs, effects, (finder, list) => finder.handleOwnChanged(nowMs, list))
  }

  #update(): void {
    this.#own = this.#position()
  }

  #position(): OwnPosition {
    const { port } = this.#sockets
    const local = this.#prefixes.map(
      ({ address }): Candidate => ({ kind: 'local', endpoint: { address, port, scopeId: 0 } }),
    )
    const reflexive = this.#reflexive.endpoints.map(
      (endpoint): Candidate => ({ kind: 'reflexive', endpoint }),
    )
    const mapped = this.#mappedCandidates()
    const tcp = this.#tcpCandidates()
    const isThere = port !== 0
    return {
      sockets: this.#sockets,
      // Public ones first: of too many the last are left out.
      candidates: isThere
        ? [...mapped, ...reflexive, ...tcp, ...publicFirst(local)].slice(0, MAX_CANDIDATES)
        : [],
      prefixes: this.#prefixes,
      mapping: this.#mapping(),
      ports: this.#isSurveyDone ? portsToTell(this.#choice) : [0, 0],
      wideBytes: Math.min(MAX_WIDE_BYTES, this.#options.mtu() + MESSAGE_OVERHEAD_BYTES),
      lifetimeMs: this.#lifetimeMs,
      maxSockets:
        this.#full?.seenAs === this.#seenAs() ? Math.floor(this.#full.sockets * FULL_SHARE) : undefined,
      isSequential: this.#choice?.kind === 'sequential',
      stunServer: this.#servers[0],
    }
  }

  #seenAs(): string {
    const addresses = this.#reflexive.endpoints.map(({ address }) => formatIp(address))
    return [...new Set(addresses)].sort().join()
  }

  #mappedCandidates(): Candidate[] {
    const byUdp = this.#reflexive.endpoints.find(({ address }) => address.family === 4)?.address
    const byTcp = byUdp ?? this.#tcpAddress
    const at = (
      kind: CandidateKind,
      address: IpAddress | undefined,
      port: number | undefined,
    ): Candidate[] =>
      address === undefined || port === undefined ? [] : [{ kind, endpoint: { address, port, scopeId: 0 } }]
    return [...at('mapped', byUdp, this.#mappedPort), ...at('tcp', byTcp, this.#mappedTcpPort)]
  }

  /** Where nothing is translated, and nobody stands in the way but a firewall perhaps. */
  #tcpCandidates(): Candidate[] {
    const port = this.#tcpPort
    if (port === 0) return []
    return this.#prefixes
      .filter(({ address }) => !isPrivate(address))
      .map(({ address }) => ({ kind: 'tcp', endpoint: { address, port, scopeId: 0 } }))
  }

  #mapping(): Mapping {
    return this.#reflexive.mapping
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
      if (effect.kind === 'lost') this.#isRefreshDue = true
      else if (effect.kind === 'full') {
        this.#full = { seenAs: this.#seenAs(), sockets: effect.sockets }
        this.#update()
      } else effects.push(effect.kind === 'send' ? effect : { ...effect, publicKey, peer })
    }
  }
}

function publicFirst(candidates: readonly Candidate[]): Candidate[] {
  const isNear = ({ endpoint }: Candidate): number => (isPrivate(endpoint.address) ? 1 : 0)
  return candidates.toSorted((a, b) => isNear(a) - isNear(b))
}
