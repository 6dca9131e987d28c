/**
 * One interface's part in a managed network: the session with the hub, the netmap, the relays, and for each
 * trusted node a peer of the engine (netmap-peers.ts) whose path is found and kept (path-driver.ts).
 *
 * What the hub last said is stored, so that links among known nodes come up without it.
 */

import { formatHex } from '../../base/bytes.js'
import type { Logger } from '../../base/log.js'
import type { OverlayConfig } from '../../config/types.js'
import type { Identity } from '../../control/identity.js'
import type { HubKeyMessage, HubMessage, Refusal, Welcome } from '../../control/messages.js'
import { Netmap, type NetmapChange, type NetmapNode, requirePrefix } from '../../control/netmap.js'
import { Pins } from '../../control/pins.js'
import type { NamedNode } from '../../names/zone.js'
import type { Endpoint, HostEndpoint } from '../../net/endpoint.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import type { IpAddress } from '../../net/ip.js'
import type { PathKind } from '../../paths/candidates.js'
import type { OwnPosition } from '../../paths/finder-types.js'
import type { FinderStatus } from '../../paths/path-finder.js'
import { PathManager } from '../../paths/path-manager.js'
import type { AddressCheck } from '../../platform/checked-lookup.js'
import type { Underlay } from '../../platform/underlay.js'
import type { Crypto, RandomBytes } from '../../wireguard/crypto.js'
import { formatKeyBase64, type PublicKey } from '../../wireguard/keys.js'
import { describeClockDifference } from '../clock-difference.js'
import type { Engine, PathHandlers, WakeUp } from '../engine.js'
import { resolveServers } from '../resolve-servers.js'
import { faultOf } from './assigned-addresses.js'
import { DataPort } from './data-port.js'
import { FrameCarrier } from './frame-carrier.js'
import { HubKeys, type StoredHubKey } from './hub-keys.js'
import { HubLink, type HubLinkState } from './hub-link.js'
import type { KeyRotation } from './key-rotation.js'
import { NameServer } from './name-server.js'
import { NetmapPeers } from './netmap-peers.js'
import type { NetworkStore, StoredState } from './network-store.js'
import { localPrefixes, type OwnAddresses, watchOwnAddresses } from './own-addresses.js'
import { PathDriver } from './path-driver.js'
import { describeFault } from './redial.js'
import { RelayPool, type RelayStatus } from './relay-pool.js'
import { describeRemoval } from './removal.js'
import { createServerCheck } from './server-check.js'
import { Trust } from './trust.js'

/** What is signed says to a router whose a mapped port is, and nothing to anybody else. */
const MAPPING_LABEL = 'overlay port mapping v1'

export interface MembershipOptions {
  readonly config: OverlayConfig
  readonly interfaceName: string
  /** Path of the tunnel file, for what a person has to type. */
  readonly configFile: string
  /** Of this node in the network, where it answers for names; undefined if it does not. */
  readonly nameServerAddress: { readonly v4: IpAddress; readonly v6: IpAddress } | undefined
  readonly identity: Identity
  readonly keys: KeyRotation
  /** Of the interface. */
  readonly mtu: () => number
  readonly proxy: HttpProxy | undefined
  readonly engine: Engine
  readonly underlay: Underlay
  readonly store: NetworkStore
  /** Keys, base64 not needed, of peers that the file names: they stay plain WireGuard. */
  readonly isFilePeer: (publicKey: PublicKey) => boolean
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly createWakeUp: (onWake: () => void) => WakeUp
  readonly nowMs: () => number
  readonly wallNowMs: () => number
  readonly log: Logger
  /** For whoever starts the interface. */
  readonly warn: (text: string) => void
}

export interface MembershipStatus {
  readonly network: string
  readonly name: string
  /** `waiting`: somebody has to approve this node first. */
  readonly hub: HubLinkState | { readonly kind: 'waiting'; readonly reason: string }
  /** Seconds since 1970, by the hub's clock: when this node was put out of the network, if it was. */
  readonly removedAtS: number | undefined
  readonly relays: readonly RelayStatus[]
  readonly stun: readonly HostEndpoint[]
  readonly faults: ReadonlyMap<string, string>
  /** Why what is to be remembered is not on disk now; empty if it is. */
  readonly unsaved: string
  /** How this machine's clock differs from the hub's, in words; empty if it does not. */
  readonly clock: string
  /** Names of nodes that said yes to this one and have none of it. */
  readonly waiting: readonly string[]
  readonly nodes: readonly NetmapNode[]
  readonly nodeOf: (publicKey: PublicKey) => NetmapNode | undefined
  readonly pathOf: (publicKey: PublicKey) => FinderStatus | undefined
  /** Where a path leads: the far end of its connection if it is one of TCP. */
  readonly endpointOf: (path: FinderStatus) => Endpoint
  readonly own: OwnPosition
}

export class Membership {
  readonly trust: Trust
  readonly #options: MembershipOptions
  readonly #manager: PathManager
  readonly #driver: PathDriver
  readonly #hub: HubLink
  readonly #relays: RelayPool
  readonly #dataPort: DataPort
  readonly #peers: NetmapPeers
  readonly #carrier: FrameCarrier
  readonly #pins = new Pins()
  readonly #hubKeys: HubKeys
  readonly #isServerAllowed: AddressCheck
  #netmap: Netmap | undefined
  #welcome: Welcome | undefined
  #addresses: OwnAddresses | undefined
  #hubState: HubLinkState = { kind: 'connecting' }
  #refusal = ''
  #clock = ''
  /** What a person has to do so that this node is let in; empty if it is in. */
  #waitsFor = ''
  #removedAtS: number | undefined
  #names: NameServer | undefined
  #isStopped = false

  constructor(options: MembershipOptions) {
    this.#options = options
    const { config, engine, identity, keys, proxy, crypto, random, createWakeUp, log, nowMs } = options
    const { mtu, wallNowMs, underlay, store } = options
    const save = (stored: StoredHubKey): void => store.saveHubKey(stored)
    this.#hubKeys = new HubKeys({ fileKey: config.hubKey, stored: store.readHubKey(), save, wallNowMs })
    const framePort = engine.openFramePort()
    const isOverlay = (address: IpAddress): boolean => underlay.isOverlay(address, true)
    // Least of all over its own network.
    const isOutside: AddressCheck = async (address) => !underlay.isInNetwork(address)
    const staticKey = keys.own.current
    this.#manager = new PathManager({ crypto, random, staticKey, mtu, isOverlay, wallNowMs })
    this.#manager.setOwnKeys(keys.own)
    const driver = new PathDriver({
      manager: this.#manager,
      engine,
      framePort,
      isOverlay: (address) => underlay.isOverlay(address, false),
      createWakeUp,
      nowMs,
      onPath: (publicKey, kind) => this.#logPath(publicKey, kind),
      onDoubt: () => this.#doubtServers(),
    })
    this.#driver = driver
    this.#dataPort = new DataPort({
      driver,
      createWakeUp,
      nowMs,
      log,
      nonceOf: (protocol) => identity.sign(MAPPING_LABEL, Buffer.from(protocol)),
    })
    this.#peers = new NetmapPeers({ engine, driver, framePort, isFilePeer: options.isFilePeer, log })
    const isNearEnough = createServerCheck(config.hub, nowMs)
    this.#isServerAllowed = async (address) => (await isOutside(address)) && (await isNearEnough(address))
    this.#relays = new RelayPool({
      identity,
      proxy,
      isAllowed: this.#isServerAllowed,
      log,
      nowMs,
      onMessages: (sender, segmentBytes, messages) => {
        if (!this.#isStopped) this.#carrier.deliver(sender, segmentBytes, messages)
      },
      onObserved: ({ address }) =>
        driver.turn((manager, now, effects) => manager.setTcpAddress(address, now, effects)),
      onUp: () => this.#handleCarrierUp(),
      onLost: () => this.#hub.doubt(),
      onLatencies: (relayRtts) => this.#hub.send({ type: 'update', relayRtts }),
    })
    this.#hub = new HubLink({
      hub: config.hub,
      hubKeys: () => this.#hubKeys.all,
      identity,
      proxy,
      isAllowed: isOutside,
      crypto,
      random,
      nowMs,
      log,
      hello: () => ({ ...keys.signed(), localPrefixes: localPrefixes(options.interfaceName) }),
      onMessage: (message) => this.#handleHubMessage(message),
      onState: (state) => this.#handleHubState(state),
    })
    this.#carrier = new FrameCarrier({
      engine,
      framePort,
      tcp: driver.tcp,
      relays: this.#relays,
      hub: this.#hub,
      nodeAt: (v6) => this.#peers.nodeAt(v6),
      nodeOf: (identity) => this.#netmap?.find(identity),
      nowMs,
    })
    this.trust = new Trust({
      ownIdentity: identity.text,
      pins: this.#pins,
      netmap: () => this.#netmap,
      apply: (change) => this.#apply(change),
      send: (message) => this.#hub.send(message),
      save: (trust) => options.store.saveTrust(trust),
    })
  }

  /** Throws AppError: what it has to remember cannot be read. */
  start(): void {
    const { engine, underlay, identity, config, keys, store, warn } = this.#options
    const trust = store.readTrust()
    if (trust !== undefined) this.trust.restore(trust)
    keys.start({
      isConnected: () => this.#hubStatus().kind === 'connected',
      onDue: () => {
        this.#driver.turn((manager) => manager.setOwnKeys(keys.own))
        this.#hub.send({ type: 'update', ...keys.signed() })
        this.#apply(this.#netmap?.expirePreviousKeys())
      },
    })
    const stored = store.tryReadNetwork(formatKeyBase64(config.hubKey))
    if (stored?.removedAtS !== undefined) {
      this.#welcome = stored.welcome
      this.#removedAtS = stored.removedAtS
      this.#refusal = this.#describeRemoval(stored.removedAtS)
      warn(this.#refusal)
    } else if (
      stored !== undefined &&
      faultOf(stored.welcome, identity.publicKey, config.range) === undefined
    ) {
      this.#handleWelcome(stored.welcome)
      this.#apply(this.#netmap?.restore(stored.netmap))
    }
    engine.setPathHandlers(this.#handlers())
    this.#addresses = watchOwnAddresses(underlay, {
      onAddresses: (prefixes) => {
        this.#driver.turn((manager, nowMs, effects) => manager.setAddresses(prefixes, nowMs, effects))
        this.#relays.nudge(underlay.allAddresses)
        this.#hub.nudge(underlay.allAddresses)
        this.#dataPort.handleNetworkChanged()
      },
      onRoutes: () => this.#driver.handleRoutesChanged(),
    })
    const { nameServerAddress: address, log } = this.#options
    if (address !== undefined) {
      const own = { name: config.name, v4: address.v4, v6: address.v6 }
      const others = (): NamedNode[] =>
        this.nodes.map(({ name, v4, v6 }) => ({ name, v4: v4.address, v6: v6.address }))
      const zone = { network: config.network, nodes: () => [own, ...others()] }
      this.#names = new NameServer(address.v4, zone, log)
      this.#names.start()
    }
    this.#hub.start()
  }

  get nodes(): readonly NetmapNode[] {
    return this.#netmap?.nodes ?? []
  }

  get name(): string {
    return this.#welcome?.name ?? this.#options.config.name
  }

  status(): MembershipStatus {
    const { config } = this.#options
    const nodes = this.nodes
    const byKey = new Map(nodes.map((node) => [formatHex(node.tunnelKey), node]))
    return {
      network: config.network,
      name: this.name,
      hub: this.#hubStatus(),
      removedAtS: this.#removedAtS,
      relays: this.#relays.status(),
      stun: this.#welcome === undefined ? [] : stunServersOf(this.#welcome),
      faults: this.#netmap?.faults ?? new Map(),
      unsaved: this.#options.store.fault,
      clock: this.#clock,
      waiting: this.trust.waiting,
      nodes,
      nodeOf: (publicKey) => byKey.get(formatHex(publicKey)),
      pathOf: (publicKey) => this.#manager.status(publicKey),
      endpointOf: ({ kind, path: { remote } }) =>
        (kind === 'tcp' ? this.#driver.tcp.remoteOf(remote.port) : undefined) ?? remote,
      own: this.#manager.own,
    }
  }

  /** What was dropped since the start, by reason; those above zero only. */
  drops(): Record<string, number> {
    const { unknown, malformed, replayed, inside } = this.#manager.counters
    const all = {
      probeUnknown: unknown,
      probeMalformed: malformed,
      probeReplayed: replayed,
      probeInside: inside,
      relayUnsent: this.#relays.unsent,
      relayOverflow: this.#relays.dropped,
      relayRefused: this.#relays.refused,
      tcpUnproven: this.#driver.tcp.counters.unproven,
      tcpOverflow: this.#driver.tcp.counters.dropped,
      tcpInside: this.#driver.tcp.counters.inside,
      relayUnknownSender: this.#carrier.unknownSenders,
    }
    return Object.fromEntries(Object.entries(all).filter(([, count]) => count > 0))
  }

  /** Resolves when the router has its ports back, or is not there; the rest is stopped at once. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#options.engine.setPathHandlers(undefined)
    this.#options.keys.stop()
    const released = this.#dataPort.stop()
    this.#addresses?.stop()
    this.#names?.stop()
    this.#driver.stop()
    this.#hub.stop()
    this.#relays.stop()
    this.#options.store.flush(() => this.#stored())
    this.#peers.removePeers(this.nodes)
    await released
  }

  // --- hub -------------------------------------------------------------------------------------

  #handleHubState(state: HubLinkState): void {
    this.#hubState = state
    const { log } = this.#options
    if (state.kind === 'connected') {
      log.info('hub.connected', { way: state.way })
      this.#dataPort.handleReturn()
    }
    if (state.kind !== 'broken') return
    log.info('hub.broken', { reason: state.reason })
    this.#relays.doubt()
  }

  #handleHubMessage(message: HubMessage): void {
    switch (message.type) {
      case 'welcome': {
        const { identity, config, log } = this.#options
        this.#compareClocks(message.nowS)
        const fault = faultOf(message, identity.publicKey, config.range)
        this.#refusal = fault?.message ?? ''
        this.#waitsFor = ''
        if (fault !== undefined) {
          log.warn('hub.not_believed', { reason: fault.message })
          break
        }
        this.#removedAtS = undefined
        this.#handleWelcome(message)
        this.#netmap?.handleWelcome()
        this.#handleCarrierUp()
        this.#hub.send({ type: 'update', relayRtts: this.#relays.takeLatencies() })
        break
      }
      case 'pending':
        this.#refusal = ''
        this.#waitsFor = `${message.name} waits for approval (${message.hint})`
        this.#options.log.info('hub.pending', { node: message.name })
        break
      case 'nodes':
        this.#apply(this.#netmap?.apply(message))
        this.trust.handleMessage(message)
        break
      case 'asking':
        this.trust.handleMessage(message)
        break
      case 'signal':
        if (!this.#isStopped) this.#carrier.deliverSignal(message.from, message.body)
        break
      case 'hubKey':
        this.#learnHubKey(message)
        break
      case 'ticket':
        this.#relays.setTicket(message.ticket)
        break
      case 'refused':
        this.#compareClocks(message.nowS)
        this.#waitsFor = ''
        this.#refusal = `${message.message} (${message.hint})`
        this.#options.log.warn('hub.refused', { code: message.code, message: message.message })
        if (message.code === 'removed') this.#handleRemoved(message)
        break
      case 'pong':
        break
    }
  }

  /** What cannot be written is not used; the hub says it again after the next welcome. */
  #learnHubKey(message: HubKeyMessage): void {
    const { log } = this.#options
    try {
      if (this.#hubKeys.learn(message)) log.warn('hub.key_changed', {})
    } catch (error) {
      log.error('hub.key_unsaved', { reason: String(error) })
    }
  }

  /** Nothing of the network holds any longer: its nodes are no peers, its relays are left, and the disk says so. */
  #handleRemoved({ removedAtS = Math.floor(this.#options.wallNowMs() / 1000) }: Refusal): void {
    this.#refusal = this.#describeRemoval(removedAtS)
    if (this.#removedAtS === removedAtS) return
    this.#removedAtS = removedAtS
    this.#options.log.error('network.removed', { text: this.#refusal })
    this.#relays.configure([], '')
    const removed = this.nodes.map(({ identity }) => identity)
    this.#apply(this.#netmap?.apply({ type: 'nodes', changed: [], removed }))
    this.#options.store.flush(() => this.#stored())
  }

  #describeRemoval(atS: number): string {
    const { config, configFile } = this.#options
    return describeRemoval({ name: this.name, network: config.network, atS, configFile })
  }

  /** The router may have been restarted, or the way out be another one: then TCP connections are dead too. */
  #doubtServers(): void {
    if (this.#isStopped) return
    this.#hub.doubt()
    this.#relays.doubt()
  }

  /** Hub or relay: what was sent while there was neither may be lost. */
  #handleCarrierUp(): void {
    if (this.#isStopped) return
    this.#options.engine.handleCarrierUp()
    this.#driver.turn((manager, nowMs, effects) => manager.handleCarrierUp(nowMs, effects))
  }

  #handleWelcome(welcome: Welcome): void {
    const { crypto, identity, wallNowMs, log } = this.#options
    this.#welcome = welcome
    this.trust.handleWelcome(welcome)
    this.#options.underlay.setOverlays([requirePrefix(welcome.prefix4), requirePrefix(welcome.prefix6)])
    this.#options.store.writeSoon(() => this.#stored())
    this.#netmap ??= new Netmap({
      crypto,
      prefix4: requirePrefix(welcome.prefix4),
      prefix6: requirePrefix(welcome.prefix6),
      pins: this.#pins,
      ownIdentity: identity.text,
      wallNowMs,
      isWelcome: (other) => this.trust.isWelcome(other),
    })
    this.#relays.configure(welcome.relays, welcome.ticket)
    const servers = [stunServersOf(welcome), welcome.relays]
    const isAllowed = this.#isServerAllowed
    Promise.all(servers.map((list) => resolveServers(list, { isAllowed }))).then(
      ([stun = [], relays = []]) => {
        if (this.#isStopped) return
        this.#driver.setTcpServers(relays)
        this.#driver.turn((manager, nowMs, effects) => manager.setServers(stun, nowMs, effects))
      },
      (error: unknown) => log.warn('stun.unresolved', { reason: String(error) }),
    )
  }

  #compareClocks(hubS: number | undefined): void {
    const difference = describeClockDifference(this.#options.wallNowMs(), hubS)
    if (difference !== '' && this.#clock === '') this.#options.log.warn('clock.differs', { difference })
    this.#clock = difference
  }

  #apply(change: NetmapChange | undefined): void {
    if (change === undefined) return
    for (const fault of change.faults) this.#options.log.warn('netmap.refused', { fault })
    this.#peers.apply(change)
    if (change.changed.length + change.removed.length > 0) this.#options.store.writeSoon(() => this.#stored())
  }

  #hubStatus(): MembershipStatus['hub'] {
    const state = this.#hubState
    const broken = this.#refusal === '' && state.kind === 'broken' ? state.reason : this.#refusal
    if (broken !== '') {
      return { kind: 'broken', reason: describeFault(broken, this.#hub.retryAtMs, this.#options.nowMs()) }
    }
    const isWaiting = this.#waitsFor !== '' && state.kind === 'connected'
    return isWaiting ? { kind: 'waiting', reason: this.#waitsFor } : state
  }

  // --- inside ----------------------------------------------------------------------------------

  #handlers(): PathHandlers {
    return {
      handleProbe: (path, bytes) => {
        this.#driver.turn((manager, nowMs, effects) => manager.handleProbe(path, bytes, nowMs, effects))
      },
      handleFrames: (event) => this.#carrier.send(event),
      handleWanted: (publicKey) => {
        this.#driver.turn((manager, nowMs, effects) => manager.handleWanted(publicKey, nowMs, effects))
      },
      handleSockets: (sockets) => this.#dataPort.handleSockets(sockets),
    }
  }

  #logPath(publicKey: PublicKey, kind: PathKind): void {
    const key = formatHex(publicKey)
    const name = this.nodes.find((node) => formatHex(node.tunnelKey) === key)?.name ?? ''
    this.#options.log.info('path', { node: name, kind })
  }

  #stored(): StoredState {
    const trust = this.trust.toStored()
    // A node that was removed while it was down has no netmap.
    const netmap = this.#removedAtS === undefined ? this.#netmap?.toStored() : { nodes: [] }
    const welcome = this.#welcome
    if (welcome === undefined || netmap === undefined) return { network: undefined, trust }
    const hubKey = formatKeyBase64(this.#options.config.hubKey)
    const removedAtS = this.#removedAtS
    return { network: { hubKey, welcome, netmap, ...(removedAtS !== undefined && { removedAtS }) }, trust }
  }
}

/** Relays answer on the UDP port of their number: a node is to know its endpoints when the hub is away. */
function stunServersOf({ stun, relays }: Welcome): HostEndpoint[] {
  return [...stun, ...relays.map(({ host, port }) => ({ host, port }))]
}
