/**
 * Joins one Device (which decides) with one DataPlane (which carries), and owns the outer sockets.
 *
 * Every input is one turn: hand it to the device with the time, carry out the effects in order, arm
 * the one wake-up for the device's next deadline. Turns never nest: what the data plane reports while
 * effects are carried out waits for the next turn.
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import type { DataPlane, DataPlaneEvent, DataPlaneListener } from '../dataplane/contract.js'
import { DROP } from '../dataplane/drop-reasons.js'
import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import type { Path, SocketId } from '../net/path.js'
import { isDisco } from '../paths/disco.js'
import { isStun } from '../paths/stun.js'
import { tryUnveil } from '../paths/veil.js'
import type { DeviceSnapshot, DeviceUpdate } from '../wireguard/configuration.js'
import type { Crypto, RandomBytes } from '../wireguard/crypto.js'
import { Device } from '../wireguard/device.js'
import type { Effect, Effects } from '../wireguard/effects.js'
import type { HandshakePaths } from '../wireguard/handshake-ways.js'
import { formatKeyHex, formatShortKey, type PublicKey } from '../wireguard/keys.js'
import { type CarriedTotals, DeviceCounters } from './device-counters.js'
import { OuterPaths, type OuterPathsOptions } from './outer-paths.js'
import { closeSockets, type OpenSockets, openSockets, reopenSockets } from './outer-sockets.js'

import { PathReview } from './path-review.js'
import { LivePeerActivity, SlotActivity } from './slot-activity.js'

/**
 * Whoever finds paths for managed peers. Called within a turn of the engine: what it asks of the engine's
 * device happens in the next one.
 */
export interface PathHandlers {
  /** A datagram of STUN or disco; not authenticated. */
  handleProbe(path: Path, bytes: Uint8Array, nowMs: number): void
  /** Messages for a frame port, see DataPlaneEvent. */
  handleFrames(event: Extract<DataPlaneEvent, { kind: 'frames' }>): void
  /** Data waits for this peer, and there is no keypair for it. */
  handleWanted(publicKey: PublicKey): void
  /** The sockets are new, or gone. */
  handleSockets(sockets: OpenSockets | undefined): void
}

/** Calls back once, not before a time on the boot clock; arming again replaces the time before. */
export interface WakeUp {
  /** Infinity disarms. A time that has passed means: as soon as other work had its turn. */
  at(deadlineMs: number): void
}

export interface EngineOptions {
  readonly createDataPlane: (listener: DataPlaneListener) => DataPlane
  readonly createWakeUp: (onWake: () => void) => WakeUp
  /** Peer slots of the data plane. */
  readonly capacity: number
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly bootNowMs: () => number
  readonly wallNowMs: () => number
  readonly log: Logger
  /** Whether datagrams are to leave from another address than the kernel would choose, or not at all. */
  readonly routes?: OuterPathsOptions
  /** A peer left `attempts` initiations unanswered: its name may lead elsewhere by now. Must not call back at once. */
  readonly onHandshakeFailing?: (publicKey: PublicKey, attempts: number) => void
}

const NO_ROUTES: OuterPathsOptions = {
  choose: (path) => path,
  linkTo: () => undefined,
  hasAddress: () => false,
}

type Turn = (nowMs: number, effects: Effects) => void

export class Engine {
  readonly #options: EngineOptions
  readonly #plane: DataPlane
  readonly #device: Device
  readonly #wakeUp: WakeUp
  readonly #turns: Turn[] = []
  readonly #counters: DeviceCounters
  readonly #outerPaths: OuterPaths
  readonly #review: PathReview
  #isTurning = false
  #isStopped = false
  #listenPort = 0
  /** Of the sockets that there were last; 0 if another is to be chosen. */
  #lastPort = 0
  #fwmark = 0
  #sockets: OpenSockets | undefined
  #paths: PathHandlers | undefined

  constructor(options: EngineOptions) {
    this.#options = options
    this.#plane = options.createDataPlane((events) => this.#handleEvents(events))
    this.#counters = new DeviceCounters(this.#plane.blocks)
    this.#outerPaths = new OuterPaths(options.routes ?? NO_ROUTES)
    this.#review = new PathReview(this.#outerPaths, {
      setPath: (slot, path) => this.#plane.setPath(slot, path),
      forgetLocalAddress: (slot, effects) => this.#device.forgetLocalAddress(slot, effects),
    })
    this.#device = new Device({
      crypto: options.crypto,
      random: options.random,
      wallNowMs: options.wallNowMs,
      activityOf: (slot) => new SlotActivity(this.#plane.blocks, slot),
      maxPeers: options.capacity,
    })
    this.#wakeUp = options.createWakeUp(() => this.#take((nowMs, effects) => this.#wake(nowMs, effects)))
  }

  // --- commands --------------------------------------------------------------------------------

  /** Opens the sockets. Throws PlatformError, for instance when the listen port is taken. */
  up(): void {
    if (this.#sockets !== undefined || this.#isStopped) return
    const sockets = reopenSockets(this.#plane, this.#listenPort, this.#lastPort, this.#fwmark)
    this.#sockets = sockets
    this.#lastPort = sockets.port
    this.#take((nowMs, effects) => this.#device.setSockets(sockets, nowMs, effects))
    this.#paths?.handleSockets(sockets)
  }

  /** Closes the sockets and ends all keypairs; configuration stays. */
  down(): void {
    const sockets = this.#sockets
    if (sockets === undefined) return
    this.#sockets = undefined
    this.#take((nowMs, effects) => this.#device.setSockets(undefined, nowMs, effects))
    this.#paths?.handleSockets(undefined)
    closeSockets(this.#plane, sockets)
  }

  /** All or nothing: what can fail is tried before anything changes. */
  configure(update: DeviceUpdate): void {
    this.#checkCapacity(update)
    const { listenPort = this.#listenPort, fwmark = this.#fwmark } = update
    const before = this.#sockets
    const isMoved =
      before !== undefined && update.listenPort !== undefined && update.listenPort !== before.port
    const sockets = isMoved ? openSockets(this.#plane, listenPort, fwmark) : before
    try {
      if (fwmark !== this.#fwmark) this.#plane.setMark(fwmark)
    } catch (error) {
      if (isMoved && sockets !== undefined) closeSockets(this.#plane, sockets)
      throw error
    }
    const hasOtherMark = fwmark !== this.#fwmark
    this.#listenPort = listenPort
    if (update.listenPort !== undefined) this.#lastPort = sockets?.port ?? 0
    this.#fwmark = fwmark
    this.#sockets = sockets
    this.#take((nowMs, effects) => {
      if (isMoved) this.#device.setSockets(sockets, nowMs, effects)
      this.#device.configure(update, nowMs, effects)
    })
    if (isMoved) {
      this.#paths?.handleSockets(sockets)
      closeSockets(this.#plane, before)
    }
    if (hasOtherMark) this.reviewPaths() // by which routes may lead elsewhere
  }

  setMtu(mtu: number): void {
    this.#plane.setMtu(mtu)
  }

  // --- managed paths ---------------------------------------------------------------------------

  /** Undefined ends it. */
  setPathHandlers(handlers: PathHandlers | undefined): void {
    this.#paths = handlers
    handlers?.handleSockets(this.#sockets)
  }

  setPeerPath(publicKey: PublicKey, path: Path | undefined): void {
    this.#take((nowMs, effects) => this.#device.setPeerPath(publicKey, path, nowMs, effects))
  }

  /** See Device.handleCarrierUp. */
  handleCarrierUp(): void {
    this.#take((nowMs) => this.#device.handleCarrierUp(nowMs))
  }

  /** See Device.handlePeerRestarted. */
  handlePeerRestarted(publicKey: PublicKey): void {
    this.#take((nowMs) => this.#device.handlePeerRestarted(publicKey, nowMs))
  }

  /** See Peer.setHandshakePaths. */
  setHandshakePaths(publicKey: PublicKey, paths: HandshakePaths): void {
    this.#take((nowMs, effects) => this.#device.setHandshakePaths(publicKey, paths, nowMs, effects))
  }

  /** To a managed peer: an empty message, if there is a keypair. */
  sendKeepalive(publicKey: PublicKey): void {
    this.#take((_nowMs, effects) => {
      const peer = this.#device.findPeer(publicKey)
      if (peer?.isManaged === true) effects.push({ kind: 'sendKeepalive', slot: peer.slot })
    })
  }

  openFramePort(): SocketId {
    const port = this.#plane.openFramePort()
    this.#outerPaths.addFramePort(port)
    return port
  }

  /** Addresses or routes of this machine are others. */
  reviewPaths(): void {
    this.#take((nowMs, effects) => this.#review.start(nowMs, effects))
  }

  /** See DataPlane.deliver. */
  deliver(port: SocketId, remote: Endpoint, bytes: Uint8Array, segmentBytes: number): void {
    if (!this.#isStopped) this.#plane.deliver(port, remote, bytes, segmentBytes)
  }

  /** `hops`: see DataPlane.sendDatagram. */
  sendProbe(path: Path, bytes: Uint8Array, hops?: number): void {
    if (!this.#isStopped) this.#send(path, bytes, 0, hops)
  }

  /** For a path that needs a socket of its own. Undefined if the port is taken. */
  tryOpenPathSocket(family: 4 | 6, port: number): SocketId | undefined {
    try {
      return this.#plane.openSocket({ family, port, mark: this.#fwmark }).socket
    } catch {
      return undefined
    }
  }

  closePathSocket(socket: SocketId): void {
    if (!this.#isStopped) this.#plane.closeSocket(socket)
  }

  /** A live view; valid as long as the peer is there. */
  activityOf(publicKey: PublicKey): LivePeerActivity | undefined {
    const peer = this.#device.findPeer(publicKey)
    return peer && new LivePeerActivity(this.#plane.blocks, peer)
  }

  /** Closes everything and forgets all keys. Idempotent. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.down()
    this.#take((nowMs, effects) =>
      this.#device.configure({ privateKey: null, replacePeers: true, peers: [] }, nowMs, effects),
    )
    this.#isStopped = true
    this.#wakeUp.at(Number.POSITIVE_INFINITY)
    await this.#plane.stop()
  }

  // --- getters ---------------------------------------------------------------------------------

  /** SO_MARK of the sockets; 0 for none. */
  get fwmark(): number {
    return this.#fwmark
  }

  snapshot(): DeviceSnapshot {
    const nowMs = this.#options.bootNowMs()
    const blocks = this.#plane.blocks
    const staticKey = this.#device.staticKey
    const peers = [...this.#device.peers].map((peer) => {
      const snapshot = this.#device.snapshotPeer(peer, nowMs)
      return {
        ...snapshot,
        rxBytes: snapshot.rxBytes + blocks.get(peer.slot, 'rxBytes'),
        txBytes: snapshot.txBytes + blocks.get(peer.slot, 'txBytes'),
      }
    })
    return {
      privateKey: staticKey?.bytes,
      publicKey: staticKey?.publicKey,
      listenPort: this.#sockets?.port ?? (this.#listenPort || this.#lastPort),
      fwmark: this.#fwmark,
      peers,
    }
  }

  /** Everything dropped since the start, by reason, those above zero only. */
  drops(): Readonly<Record<string, number>> {
    return this.#counters.drops(this.#slots(), new Map(this.#device.drops))
  }

  /** Transport messages since the start. */
  carried(): CarriedTotals {
    return this.#counters.carried(this.#slots())
  }

  /** What carries packets, in words. */
  describeDataPlane(): string {
    return this.#plane.describe()
  }

  #slots(): readonly number[] {
    return [...this.#device.peers].map((peer) => peer.slot)
  }

  // --- turns -----------------------------------------------------------------------------------

  #handleEvents(events: readonly DataPlaneEvent[]): void {
    this.#take((nowMs, effects) => {
      for (const event of events) this.#handleEvent(event, nowMs, effects)
      // An admitted handshake need not wait for the timer; a flood of them must.
      if (this.#device.nextDeadlineMs() <= nowMs) this.#device.handleTimeout(nowMs, effects)
    })
  }

  #handleEvent(event: DataPlaneEvent, nowMs: number, effects: Effects): void {
    const device = this.#device
    switch (event.kind) {
      case 'datagram':
        if (this.#paths !== undefined && isProbe(event.bytes)) {
          this.#paths.handleProbe(event.path, event.bytes, nowMs)
        } else device.handleDatagram(event.path, event.bytes, nowMs, effects)
        break
      case 'handshakeNeeded': {
        const peer = device.handleHandshakeNeeded(event.slot, nowMs)
        if (peer?.isManaged === true) this.#paths?.handleWanted(peer.publicKey)
        break
      }
      case 'keypairConfirmed':
        device.handleKeypairsRemoved(event.removed)
        device.handleKeypairConfirmed(event.localIndex, nowMs, effects)
        break
      case 'sourceChanged':
        device.handleSourceChanged(event.localIndex, event.path)
        if (this.#outerPaths.learnt(event.slot, event.path)) this.#review.addSoon(event.slot, nowMs)
        this.#options.log.debug('peer.roamed', { endpoint: formatEndpoint(event.path.remote) })
        break
      case 'frames':
        this.#paths?.handleFrames(event)
        break
      case 'failed':
        this.#options.log.warn('dataplane.failed', { syscall: event.syscall, errno: event.errno })
        break
    }
  }

  #wake(nowMs: number, effects: Effects): void {
    if (this.#device.nextDeadlineMs() <= nowMs) this.#device.handleTimeout(nowMs, effects)
    this.#review.handleTimeout(nowMs, effects)
  }

  #take(turn: Turn): void {
    if (this.#isStopped) return
    this.#turns.push(turn)
    if (this.#isTurning) return
    this.#isTurning = true
    try {
      for (let next = this.#turns.shift(); next !== undefined; next = this.#turns.shift()) {
        const effects: Effects = []
        next(this.#options.bootNowMs(), effects)
        for (const effect of effects) this.#carryOut(effect)
      }
    } finally {
      this.#isTurning = false
    }
    this.#wakeUp.at(Math.min(this.#device.nextDeadlineMs(), this.#review.nextDeadlineMs))
  }

  #carryOut(effect: Effect): void {
    const plane = this.#plane
    switch (effect.kind) {
      case 'send':
        this.#send(effect.path, effect.message, effect.tos)
        break
      case 'addPeer':
        plane.addPeer(effect.slot)
        break
      case 'removePeer':
        this.#counters.retire(effect.slot)
        this.#outerPaths.remove(effect.slot)
        this.#device.handleKeypairsRemoved(plane.removePeer(effect.slot))
        break
      case 'setPath':
        plane.setPath(effect.slot, this.#outerPaths.set(effect.slot, effect.path))
        break
      case 'setRoaming':
        this.#outerPaths.setRoaming(effect.slot, effect.isRoaming)
        plane.setRoaming(effect.slot, effect.isRoaming)
        break
      case 'installKeypair':
        this.#device.handleKeypairsRemoved(plane.installKeypair(effect.slot, effect.keypair))
        break
      case 'removeKeypairs':
        this.#device.handleKeypairsRemoved(plane.removeKeypairs(effect.slot))
        break
      case 'sendKeepalive':
        plane.sendKeepalive(effect.slot)
        break
      case 'setKeepaliveInterval':
        plane.setKeepaliveInterval(effect.slot, effect.ms)
        break
      case 'dropStaged':
        plane.dropStaged(effect.slot)
        break
      case 'changeAllowedIps':
        plane.changeAllowedIps(effect.changes)
        break
      case 'handshakeFailing': {
        const peer = formatShortKey(effect.publicKey)
        this.#options.log.info('handshake.unanswered', { peer, attempts: effect.attempts })
        this.#options.onHandshakeFailing?.(effect.publicKey, effect.attempts)
        break
      }
      case 'handshakeCompleted':
        this.#options.log.debug('handshake.completed', { peer: formatShortKey(effect.publicKey) })
        break
    }
  }

  #send(path: Path, bytes: Uint8Array, tos: number, hops?: number): void {
    const outer = this.#outerPaths.of(path)
    const { blocks } = this.#plane
    if (outer === undefined) blocks.countDrop(blocks.deviceSlot, DROP.noPath)
    else this.#plane.sendDatagram(outer, bytes, tos, hops)
  }

  #checkCapacity(update: DeviceUpdate): void {
    const { capacity } = this.#options
    if (this.#device.peerCount + update.peers.length <= capacity) return
    const kept = update.replacePeers === true ? [] : [...this.#device.peers]
    const keys = new Set(kept.map((peer) => formatKeyHex(peer.publicKey)))
    for (const { publicKey, previousKey, remove, updateOnly } of update.peers) {
      const key = formatKeyHex(publicKey)
      if (previousKey) keys.delete(formatKeyHex(previousKey))
      if (remove === true) keys.delete(key)
      else if (updateOnly !== true) keys.add(key)
      if (keys.size <= capacity) continue
      throw new AppError(ERROR_CODES.config, `cannot hold ${keys.size} peers: the limit is ${capacity}`)
    }
  }
}

function isProbe(bytes: Uint8Array): boolean {
  return isDisco(bytes) || isStun(bytes) || tryUnveil(bytes) !== undefined
}
