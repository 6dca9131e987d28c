/**
 * Two nodes with path managers in memory: each behind a NAT of some kind, or none, with STUN servers and a
 * relay between them, on a clock that jumps. Nothing sleeps.
 *
 * INVARIANT: a datagram arrives half a round trip after it was sent, or never.
 */

import { type Endpoint, equalEndpoint, formatEndpoint } from '../../src/net/endpoint.js'
import type { Path } from '../../src/net/path.js'
import type { PathKind } from '../../src/paths/candidates.js'
import type { IsOverlay, PeerActivity } from '../../src/paths/finder-types.js'
import type { PortChoice } from '../../src/paths/nat.js'
import { type PathEffect, PathManager } from '../../src/paths/path-manager.js'
import { RoomSurvey } from '../../src/paths/room-survey.js'
import { isStun } from '../../src/paths/stun.js'
import { tryUnveil, veilAnswer } from '../../src/paths/veil.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import type { PublicKey } from '../../src/wireguard/keys.js'
import { prefixOf } from './control.js'
import { countingBytes } from './hex.js'
import { seededRandom } from './seeded-random.js'
import { endpoint, SimulatedNat, type SimulatedNatOptions, SimulatedStunServer } from './simulated-nat.js'

export const RTT_MS = 40
const RELAY_PORT = 9
/** From a search's socket to a data socket. */
const ADOPTION_MS = 90
/** A transport data message as far as it is looked at here: its type. */
const DATA = Uint8Array.of(4, ...Array.from({ length: 31 }, () => 0))
/** Of a TCP connection's path; the first one. */
const FIRST_STREAM = 2
const STUN = endpoint('198.51.100.1', 3478)
const OTHER_STUN = endpoint('198.51.100.2', 3479)

const IDLE: PeerActivity = {
  lastSendMs: 0,
  lastDataSendMs: 0,
  firstUnansweredSendMs: 0,
  lastReceiveMs: 0,
  lastDataReceiveMs: 0,
  keypairMs: 1,
  initiationMs: 0,
  responsePath: undefined,
}

export interface NodeOptions {
  /** Undefined: an address of its own. */
  readonly nat?: SimulatedNatOptions
  readonly ports?: PortChoice
  /** TCP connections to this port come through to the node. */
  readonly tcpPort?: number
  /** Servers do not refuse TCP connections, but say nothing. */
  readonly areServersSilent?: boolean
}

/** A TCP connection, by its numbers at both ends. */
interface Stream {
  readonly a: number
  readonly b: number
  isOpen: boolean
}

interface Datagram {
  readonly atMs: number
  readonly deliver: () => void
}

export class WorldNode {
  manager: PathManager
  readonly number: number
  key: ReturnType<typeof nobleCrypto.dhPrivateKey>
  /** What the other node knows it by. */
  knownKey: PublicKey
  readonly inside: Endpoint
  nat: SimulatedNat | undefined
  outsideAddress: string
  readonly moves: { readonly atMs: number; readonly kind: PathKind }[] = []
  readonly activity: { -readonly [K in keyof PeerActivity]: PeerActivity[K] } = { ...IDLE }
  /** None: where data goes. */
  handshakePaths: readonly Path[] = []
  path: Path | undefined
  /** WireGuard's messages. */
  readonly received: { readonly atMs: number; readonly isRelayed: boolean }[] = []
  /** Ports of sockets of searches, by number. */
  readonly searchPorts: Map<number, number> = new Map()
  /** Sockets that were let go. */
  readonly givenBack: (number | 'search')[] = []
  sent = 0
  /** Calls and pings, not data. */
  overRelay = 0
  /** How often its NAT was to be asked how it chooses ports. */
  surveys = 0
  /** Datagrams for which the NAT had no session left. */
  refused = 0
  /** Connections begun to measure how many it has left. */
  connections = 0
  isUdpBlocked = false
  /** Its network knows STUN, and drops it. */
  isStunDropped = false
  /** Its program does not run: nothing goes out, and what comes in is lost. */
  isAway = false
  /** To this node. */
  isOverlay: IsOverlay = () => false
  /** TCP connections of this node get nowhere. */
  isTcpBlocked = false
  readonly tcpPort: number
  /** The end that others connect to at the same time as it connects to them; undefined while it does not. */
  dialling: { readonly from: Endpoint; readonly to: readonly Endpoint[] } | undefined
  /** When its connections to servers were to be looked at. */
  readonly doubts: number[] = []
  /** When the peer was seen to have been started anew. */
  readonly restarts: number[] = []
  /** Numbers of streams whose peer has answered. */
  readonly kept: Set<number> = new Set()
  #nextSearch = -1

  constructor(number: number, options: NodeOptions, nowMs: () => number) {
    this.number = number
    this.tcpPort = options.tcpPort ?? 0
    this.key = nobleCrypto.dhPrivateKey(countingBytes(32, number * 11))
    this.knownKey = this.key.publicKey
    this.manager = this.createManager(number, nowMs)
    this.outsideAddress = `203.0.113.${number}`
    this.inside = endpoint(
      options.nat === undefined ? this.outsideAddress : `192.168.${number}.2`,
      40_000 + number,
    )
    this.nat = options.nat && new SimulatedNat({ ...options.nat, address: this.outsideAddress }, nowMs)
  }

  createManager(seed: number, nowMs: () => number): PathManager {
    const { key: staticKey } = this
    const random = seededRandom(seed)
    return new PathManager({
      crypto: nobleCrypto,
      random,
      staticKey,
      mtu: () => 1420,
      isOverlay: (address) => this.isOverlay(address),
      wallNowMs: nowMs,
    })
  }

  /** Numbers of fresh sockets. */
  openSockets(count: number): number[] {
    return Array.from({ length: count }, () => {
      const number = this.#nextSearch--
      this.searchPorts.set(number, 50_000 - number)
      return number
    })
  }

  endpointOf(socket: number): Endpoint {
    const port = this.searchPorts.get(socket)
    return port === undefined ? this.inside : { ...this.inside, port }
  }

  socketOf(local: Endpoint): number {
    for (const [socket, port] of this.searchPorts) if (port === local.port) return socket
    return 1
  }
}

export class PathWorld {
  nowMs = 10_000
  readonly a: WorldNode
  readonly b: WorldNode
  isRelayDead = false
  /** Longer datagrams do not come through over UDP. */
  maxBytes: number = Number.POSITIVE_INFINITY
  /** From a node to the router of the other. */
  hopsBetween = 10
  /** Servers answer what is asked under a veil. */
  knowsVeil = true
  /** Ports of searches' sockets can be data sockets'. */
  canAdopt = true
  /** WireGuard's messages do not come through over UDP, and all else does. */
  isDataDropped = false
  /** Whether the n-th datagram over UDP gets lost. */
  isLost: (count: number) => boolean = () => false
  readonly #queue: Datagram[] = []
  readonly streams: Stream[] = []
  readonly #stun = new SimulatedStunServer(STUN, OTHER_STUN)
  readonly #servers: readonly Endpoint[]
  readonly #nodeOptions: { readonly a: NodeOptions; readonly b: NodeOptions }
  readonly #ports: ReadonlyMap<WorldNode, PortChoice | undefined>
  #datagrams = 0

  /** `servers`: two have two addresses, as it takes to tell every kind of NAT. */
  constructor(a: NodeOptions, b: NodeOptions, servers: readonly Endpoint[] = [STUN, OTHER_STUN]) {
    this.#nodeOptions = { a, b }
    this.#servers = servers
    this.a = new WorldNode(1, a, () => this.nowMs)
    this.b = new WorldNode(2, b, () => this.nowMs)
    this.#ports = new Map([
      [this.a, a.ports],
      [this.b, b.ports],
    ])
    for (const node of [this.a, this.b]) this.#start(node)
    this.run(1000)
  }

  #start(node: WorldNode): void {
    const other = this.#other(node)
    const isOpen = node.nat === undefined
    const prefix = prefixOf(isOpen ? `${node.outsideAddress}/32` : `192.168.${node.number}.2/24`)
    this.turn(node, (effects) => {
      node.manager.setSockets({ v4: 1, v6: undefined, port: node.inside.port }, this.nowMs, effects)
      node.manager.setAddresses([prefix], this.nowMs, effects)
      node.manager.setServers(this.#servers, this.nowMs, effects)
      node.manager.setTcpPort(node.tcpPort, this.nowMs, effects)
    })
    const relayPath: Path = { socket: RELAY_PORT, remote: endpoint('192.0.2.99', 1), local: undefined }
    const identity = `${other.number}`
    const peer = { identity, publicKey: other.knownKey, relayPath, activity: () => node.activity }
    this.turn(node, (effects) => node.manager.addPeer(peer, this.nowMs, effects))
  }

  /** Its program is away for `ms`, and then another run of it: with the same keys and no memory. */
  restart(node: WorldNode, ms: number, talkers: readonly WorldNode[] = []): void {
    node.isAway = true
    this.run(ms, talkers)
    node.isAway = false
    node.manager = node.createManager(node.number + 50, () => this.nowMs)
    Object.assign(node.activity, IDLE)
    node.path = undefined
    this.#start(node)
  }

  /** The other's datagrams have come to its NAT before it was open for them. */
  answerEarly(node: WorldNode): void {
    const other = this.#other(node)
    const to = node.nat?.outbound(node.inside, STUN) ?? node.inside
    node.nat?.inbound(to, other.nat?.outbound(other.inside, STUN) ?? other.inside)
  }

  /** Its NAT has this address outside from now on, and has forgotten everything: nobody tells the node. */
  renumber(node: WorldNode, address: string): void {
    const { nat } = node === this.a ? this.#nodeOptions.a : this.#nodeOptions.b
    node.outsideAddress = address
    node.nat = nat && new SimulatedNat({ ...nat, address }, () => this.nowMs)
  }

  /** Behind another NAT of the same kind, with this address outside. */
  move(node: WorldNode, address: string): void {
    this.renumber(node, address)
    const prefix = prefixOf(`192.168.${node.number}.2/24`)
    this.turn(node, (effects) => node.manager.setAddresses([prefix], this.nowMs, effects))
  }

  /** Data goes from `node` to the other, every so often, as long as the clock is run by `run`. */
  talk(node: WorldNode): void {
    const other = this.#other(node)
    if (node.isAway) return
    const isFirst = node.activity.lastDataSendMs === 0
    node.activity.lastDataSendMs = this.nowMs
    if (isFirst) {
      this.turn(node, (effects) => node.manager.handleWanted(other.knownKey, this.nowMs, effects))
    }
    const { firstUnansweredSendMs, lastReceiveMs } = node.activity
    if (firstUnansweredSendMs <= lastReceiveMs) node.activity.firstUnansweredSendMs = this.nowMs
    this.#sendMessage(node, true)
  }

  /** One of WireGuard's, over the path that data takes. */
  #sendMessage(node: WorldNode, isData: boolean): void {
    const other = this.#other(node)
    const { path } = node
    node.activity.lastSendMs = this.nowMs
    if (path === undefined) return
    const arrive = (): void => {
      if (other.isAway) return
      other.activity.lastReceiveMs = this.nowMs
      if (isData) other.activity.lastDataReceiveMs = this.nowMs
      other.received.push({ atMs: this.nowMs, isRelayed: path.socket === RELAY_PORT })
    }
    // A search's socket is no data socket: what comes there is the manager's to pass on.
    const arriveAt = (from: Endpoint, local: Endpoint): void => {
      const socket = other.socketOf(local)
      const effects: PathEffect[] = []
      if (socket < 0) {
        const back: Path = { socket, remote: from, local: undefined }
        other.manager.handleSearchDatagram(node.knownKey, back, DATA, this.nowMs, effects)
      }
      if (socket >= 0 || effects.some(({ kind }) => kind === 'takeData')) arrive()
    }
    if (path.socket === RELAY_PORT) this.#overTcp(node, path, arrive)
    else if (!this.isDataDropped) this.#overUdp(node, path, (_to, from, local) => arriveAt(from, local))
  }

  turn(node: WorldNode, input: (effects: PathEffect[]) => void): void {
    if (node.isAway) return
    const effects: PathEffect[] = []
    input(effects)
    for (const effect of effects) this.#carryOut(node, effect)
    const survey = node.manager.takePortSurvey()
    if (survey !== undefined) {
      node.surveys += 1
      const choice = this.#ports.get(node)
      this.#at(2 * RTT_MS, () =>
        this.turn(node, (list) => node.manager.setPortChoice(survey.seenAs, choice, this.nowMs, list)),
      )
    }
  }

  /** `talkers`: send data every 20 ms meanwhile. */
  run(ms: number, talkers: readonly WorldNode[] = []): void {
    const endMs = this.nowMs + ms
    let nextTalkMs = talkers.length === 0 ? Number.POSITIVE_INFINITY : this.nowMs
    while (this.nowMs < endMs) {
      const awake = [this.a, this.b].filter(({ isAway }) => !isAway)
      const deadlines = awake.map((node) => node.manager.nextDeadlineMs(this.nowMs))
      this.#queue.sort((x, y) => x.atMs - y.atMs)
      const nextMs = Math.min(endMs, nextTalkMs, this.#queue[0]?.atMs ?? endMs, ...deadlines)
      this.nowMs = Math.max(this.nowMs, nextMs)
      while ((this.#queue[0]?.atMs ?? Number.POSITIVE_INFINITY) <= this.nowMs) this.#queue.shift()?.deliver()
      for (const node of [this.a, this.b]) {
        if (node.isAway || node.manager.nextDeadlineMs(this.nowMs) > this.nowMs) continue
        this.turn(node, (effects) => node.manager.handleTimeout(this.nowMs, effects))
      }
      if (nextTalkMs > this.nowMs) continue
      nextTalkMs += 20
      for (const node of talkers) this.talk(node)
    }
  }

  /** Runs until both sides have a path that is no relay; ms it took, or undefined. */
  untilDirect(limitMs: number, talkers: readonly WorldNode[]): number | undefined {
    const startMs = this.nowMs
    while (this.nowMs - startMs < limitMs) {
      this.run(10, talkers)
      if ([this.a, this.b].every((node) => this.kindOf(node) !== 'relay')) return this.nowMs - startMs
    }
    return undefined
  }

  kindOf(node: WorldNode): PathKind | undefined {
    return node.manager.status(this.#other(node).knownKey)?.kind
  }

  status(node: WorldNode): ReturnType<PathManager['status']> {
    return node.manager.status(this.#other(node).knownKey)
  }

  /** The other node does not hear of it, before it is told. */
  changeKey(node: WorldNode): void {
    const previous = node.key
    node.key = nobleCrypto.dhPrivateKey(countingBytes(32, node.number * 11 + 100))
    node.manager.setOwnKeys({ current: node.key, previous })
  }

  tellKey(node: WorldNode): void {
    const before = node.knownKey
    node.knownKey = node.key.publicKey
    this.#other(node).manager.setPeerKeys(before, node.knownKey, before)
  }

  /** On both sides, if the other was told. */
  endOverlap(node: WorldNode): void {
    node.manager.setOwnKeys({ current: node.key, previous: undefined })
    this.#other(node).manager.setPeerKeys(node.knownKey, node.knownKey, undefined)
  }

  #other(node: WorldNode): WorldNode {
    return node === this.a ? this.b : this.a
  }

  #carryOut(node: WorldNode, effect: PathEffect): void {
    const peerKey = this.#other(node).knownKey
    switch (effect.kind) {
      case 'send': {
        const { path, bytes } = effect
        if (path.socket === RELAY_PORT) {
          const other = this.#other(node)
          node.overRelay += 1
          this.#overTcp(node, path, (back) =>
            this.turn(other, (list) => other.manager.handleProbe(back, bytes, this.nowMs, list)),
          )
        } else if (effect.hops !== undefined) {
          // It opens the NAT, if that is near enough, and comes no farther than that of the other node.
          if (effect.hops <= (node.nat?.hops ?? 0)) break
          const outside = node.nat?.outbound(node.endpointOf(path.socket), path.remote)
          const { nat } = this.#other(node)
          if (effect.hops < this.hopsBetween || outside === undefined) break
          this.#at(RTT_MS / 2, () => nat?.inbound(path.remote, outside))
        } else this.#overUdp(node, path, (to, from, local) => this.#receive(to, from, local, bytes), bytes)
        break
      }
      case 'usePath':
        node.path = effect.path
        node.moves.push({ atMs: this.nowMs, kind: effect.pathKind })
        break
      case 'doubtServers':
        node.doubts.push(this.nowMs)
        break
      case 'restarted':
        node.restarts.push(this.nowMs)
        break
      case 'useHandshakePaths':
        node.handshakePaths = effect.paths
        break
      case 'sendKeepalive':
        this.#sendMessage(node, false)
        break
      case 'measureRoom':
        this.#measureRoom(node, new RoomSurvey())
        break
      case 'openSockets': {
        const numbers = node.openSockets(effect.count)
        this.#at(2, () =>
          this.turn(node, (list) => node.manager.handleSockets(peerKey, numbers, this.nowMs, list)),
        )
        break
      }
      case 'keepSocket':
        this.#at(ADOPTION_MS, () => this.#adopt(node, effect.socket))
        break
      case 'takeData':
        break
      case 'prepareTcp': {
        const from = endpoint(node.outsideAddress, 33_000 + node.number)
        this.#at(2 * RTT_MS, () => {
          // A NAT that gives each destination another port shows servers one that nobody else is let in by.
          node.dialling = { from: node.nat?.isHard === true ? { ...from, port: 1 } : from, to: [] }
          const own = node.isTcpBlocked ? [] : [from]
          this.turn(node, (list) => node.manager.handleTcpReady(peerKey, own, this.nowMs, list))
        })
        break
      }
      case 'dialTcp':
        this.#dialTcp(node, effect.endpoints)
        break
      case 'endTcp':
        node.dialling = undefined
        break
      case 'keepStream':
        node.kept.add(effect.path.remote.port)
        break
      case 'closeStream':
        this.closeStream(node, effect.path.remote.port)
        break
      case 'closeSockets':
      case 'releaseSocket':
        node.givenBack.push(effect.kind === 'releaseSocket' ? effect.socket : 'search')
        break
    }
  }

  #adopt(node: WorldNode, before: number): void {
    const after = 1000 - before
    const port = node.searchPorts.get(before)
    if (port === undefined) return
    node.searchPorts.delete(before)
    if (this.canAdopt) node.searchPorts.set(after, port)
    const peerKey = this.#other(node).knownKey
    const socket = this.canAdopt ? after : undefined
    this.turn(node, (list) => node.manager.handleAdopted(peerKey, before, socket, this.nowMs, list))
  }

  #measureRoom(node: WorldNode, survey: RoomSurvey): void {
    const count = survey.next
    if (count === undefined) {
      this.turn(node, (list) => node.manager.handleRoom(survey.room, this.nowMs, list))
      return
    }
    node.connections += count
    const { areServersSilent = false } = node === this.a ? this.#nodeOptions.a : this.#nodeOptions.b
    const refused = areServersSilent ? 0 : Math.min(count, node.nat?.room ?? count)
    this.#at(RTT_MS, () => {
      survey.handleBurst({ refused, isAtOnce: true })
      this.#measureRoom(node, survey)
    })
  }

  #receive(to: WorldNode, from: Endpoint, local: Endpoint, bytes: Uint8Array): void {
    const socket = to.socketOf(local)
    const path: Path = { socket, remote: from, local: undefined }
    const peerKey = this.#other(to).knownKey
    this.turn(to, (list) => {
      if (socket < 0) to.manager.handleSearchDatagram(peerKey, path, bytes, this.nowMs, list)
      else to.manager.handleProbe(path, bytes, this.nowMs, list)
    })
  }

  /** Ends it for both. */
  closeStream(node: WorldNode, number: number): void {
    const isA = node === this.a
    const stream = this.streams.find(({ a, b, isOpen }) => isOpen && number === (isA ? a : b))
    if (stream === undefined) return
    stream.isOpen = false
    const other = this.#other(node)
    const path = streamPath(isA ? stream.b : stream.a)
    this.#at(RTT_MS / 2, () =>
      this.turn(other, (list) =>
        other.manager.handleStreamClosed(node.key.publicKey, path, this.nowMs, list),
      ),
    )
  }

  /** Meets whoever listens, or connects here from where we connect to, while both do. */
  #dialTcp(node: WorldNode, endpoints: readonly Endpoint[]): void {
    const other = this.#other(node)
    if (node.dialling === undefined || node.isTcpBlocked) return
    node.dialling = { ...node.dialling, to: [...node.dialling.to, ...endpoints] }
    const { from } = node.dialling
    this.#at(RTT_MS, () => {
      const listening = endpoint(other.outsideAddress, other.tcpPort)
      const isHeard = endpoints.some((to) => equalEndpoint(to, listening))
      const isMet =
        !other.isTcpBlocked &&
        other.dialling?.to.some((to) => equalEndpoint(to, from)) === true &&
        endpoints.some((to) => other.dialling !== undefined && equalEndpoint(to, other.dialling.from))
      if (!isHeard && !isMet) return
      const number = FIRST_STREAM + 2 * this.streams.length
      this.streams.push({ a: number, b: number + 1, isOpen: true })
      this.#tellStream(node)
      if (isMet) this.#tellStream(other)
    })
  }

  #tellStream(node: WorldNode): void {
    const stream = this.streams.at(-1)
    if (stream === undefined) return
    const path = streamPath(node === this.a ? stream.a : stream.b)
    const peerKey = this.#other(node).key.publicKey
    this.turn(node, (list) => node.manager.handleStream(peerKey, path, this.nowMs, list))
  }

  /** `path`: the relay's, or a stream's. */
  #overTcp(node: WorldNode, path: Path, deliver: (back: Path) => void): void {
    const { port } = path.remote
    if (port < FIRST_STREAM) {
      const back: Path = { socket: RELAY_PORT, remote: endpoint('192.0.2.99', 1), local: undefined }
      if (!this.isRelayDead) this.#at(RTT_MS, () => deliver(back))
      return
    }
    const isA = node === this.a
    const stream = this.streams.find(({ a, b }) => port === (isA ? a : b))
    if (stream === undefined) return
    this.#at(RTT_MS / 2, () => {
      if (stream.isOpen) deliver(streamPath(isA ? stream.b : stream.a))
    })
  }

  /** Out through one NAT, in through the other, or to a server and back. */
  #overUdp(
    node: WorldNode,
    path: Path,
    deliver: (to: WorldNode, from: Endpoint, local: Endpoint) => void,
    bytes: Uint8Array = new Uint8Array(0),
  ): void {
    node.sent += 1
    this.#datagrams += 1
    if (node.isUdpBlocked) return
    const inside = node.endpointOf(path.socket)
    if (node.nat?.hasRoom(inside, path.remote) === false) {
      node.refused += 1
      return
    }
    const outside = node.nat?.outbound(inside, path.remote) ?? inside
    if (this.isLost(this.#datagrams) || bytes.length > this.maxBytes) return
    this.#at(RTT_MS / 2, () => {
      const question = this.knowsVeil ? tryUnveil(bytes) : undefined
      const isDropped = node.isStunDropped && isStun(bytes)
      const answer = isDropped ? undefined : this.#stun.answer(outside, path.remote, question ?? bytes)
      if (answer !== undefined) {
        this.#at(RTT_MS / 2, () => {
          const local = node.nat === undefined ? outside : node.nat.inbound(outside, answer.from)
          const back = question === undefined ? answer.bytes : veilAnswer(answer.bytes, bytes)
          if (local !== undefined && !node.isUdpBlocked) this.#receive(node, answer.from, local, back)
        })
        return
      }
      const other = this.#other(node)
      const isThere = formatEndpoint(path.remote).startsWith(`${other.outsideAddress}:`)
      if (!isThere || other.isUdpBlocked) return
      const isOwn = other.nat === undefined && equalEndpoint(path.remote, other.inside)
      const local = isOwn ? other.inside : other.nat?.inbound(path.remote, outside)
      if (local !== undefined) deliver(other, outside, local)
    })
  }

  #at(delayMs: number, deliver: () => void): void {
    this.#queue.push({ atMs: this.nowMs + delayMs, deliver })
  }
}

function streamPath(number: number): Path {
  return { socket: RELAY_PORT, remote: endpoint('::', number), local: undefined }
}
