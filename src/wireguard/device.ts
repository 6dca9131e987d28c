/**
 * The local interface's protocol machine: one static key, or two while it changes, and many peers. Sans-IO.
 *
 * Four kinds of calls, all with a time and a list to which effects are added:
 *   commands        configure, setSockets
 *   inputs          handleDatagram and what else the data plane reports
 *   timeout         handleTimeout, when nextDeadlineMs has come
 *   getters         peers, drops, nextDeadlineMs
 * After any of them the caller carries out the effects in order, then arms its one timer anew.
 *
 * Handshake messages pay for their own admission: length, mac1, and under load mac2 and a token, are
 * checked on arrival; only then does one wait for its turn in a bounded queue (paper section 5.3).
 */

import type { Path } from '../net/path.js'
import type { DeviceUpdate, PeerSnapshot } from './configuration.js'
import {
  MAX_QUEUED_HANDSHAKES,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_INITIATION,
  MESSAGE_RESPONSE,
} from './constants.js'
import type { Crypto, DhPrivateKey, RandomBytes } from './crypto.js'
import { DeadlineQueue } from './deadline-queue.js'
import { applyPeerUpdate } from './device-configuration.js'
import type { HandshakeDropReason } from './drops.js'
import type { Effects } from './effects.js'
import { consumeInitiation } from './handshake.js'
import { HandshakeLoad } from './handshake-load.js'
import type { HandshakePaths } from './handshake-ways.js'
import { IndexTable } from './index-table.js'
import type { PublicKey } from './keys.js'
import {
  decodeCookieReply,
  decodeInitiation,
  decodeResponse,
  type Initiation,
  messageTypeOf,
  type Response,
} from './messages.js'
import { type IndexOwner, Peer, type PeerContext } from './peer.js'
import type { OuterSockets } from './peer-path.js'
import { PeerTable } from './peer-table.js'
import { RateLimiter } from './rate-limiter.js'
import { type StaticKey, StaticKeys } from './static-keys.js'
import { Tai64nClock } from './tai64n.js'
import type { TransportActivity } from './timers.js'

/** Handshakes consumed per call of handleTimeout: about 10 ms of work, then data gets its turn. */
const HANDSHAKES_PER_TURN = 16
/** Peers whose timers fire per call: when all of them start at once, an initiation costs 0.3 ms. */
const TIMERS_PER_TURN = 32
const NO_SOCKETS: OuterSockets = { v4: undefined, v6: undefined }

type QueuedHandshake =
  | {
      readonly kind: 'initiation'
      readonly message: Initiation
      readonly path: Path
      readonly own: StaticKey
    }
  | { readonly kind: 'response'; readonly message: Response; readonly path: Path }

export interface DeviceOptions {
  readonly crypto: Crypto
  readonly random: RandomBytes
  /** For TAI64N timestamps and display only. */
  readonly wallNowMs: () => number
  /** A live view of one slot's transport times; see PeerBlocks. */
  readonly activityOf: (slot: number) => TransportActivity
  readonly maxPeers: number
}

export class Device {
  readonly #options: DeviceOptions
  readonly #context: PeerContext
  readonly #peers = new PeerTable()
  readonly #deadlines = new DeadlineQueue<Peer>()
  readonly #indices: IndexTable<IndexOwner>
  readonly #keys: StaticKeys
  readonly #load = new HandshakeLoad()
  readonly #rateLimiter = new RateLimiter()
  readonly #queue: QueuedHandshake[] = []
  readonly #drops = new Map<HandshakeDropReason, number>()
  #sockets: OuterSockets = NO_SOCKETS

  constructor(options: DeviceOptions) {
    this.#options = options
    this.#keys = new StaticKeys(options.crypto, options.random)
    this.#indices = new IndexTable(options.random)
    this.#context = {
      crypto: options.crypto,
      random: options.random,
      jitter: () => (options.random(1)[0] as number) / 255,
      wallNowMs: options.wallNowMs,
      tai64n: new Tai64nClock(),
      indices: this.#indices,
    }
  }

  // --- getters ---------------------------------------------------------------------------------

  get staticKey(): DhPrivateKey | undefined {
    return this.#keys.current
  }

  get peers(): Iterable<Peer> {
    return this.#peers
  }

  get peerCount(): number {
    return this.#peers.size
  }

  /** Handshake messages not acted upon, by reason. */
  get drops(): ReadonlyMap<HandshakeDropReason, number> {
    return this.#drops
  }

  snapshotPeer(peer: Peer, nowMs: number): PeerSnapshot {
    return {
      publicKey: peer.publicKey,
      presharedKey: peer.keys.presharedKey,
      endpoint: peer.endpoint,
      isManaged: peer.isManaged,
      persistentKeepaliveS: peer.timers.persistentKeepaliveMs / 1000,
      allowedIps: this.#peers.allowedIpsOf(peer),
      lastHandshakeWallMs: peer.history.lastHandshakeWallMs,
      lastHandshakeMs: peer.history.lastHandshakeMs,
      rxBytes: peer.history.rxBytes,
      txBytes: peer.history.txBytes,
      state: peer.state(nowMs),
      clockBehindS: peer.clock.behindS,
    }
  }

  /** Infinity if nothing is to be done; may lie in the past. */
  nextDeadlineMs(): number {
    return this.#queue.length > 0 ? Number.NEGATIVE_INFINITY : this.#deadlines.nextMs
  }

  // --- commands --------------------------------------------------------------------------------

  /** Key and peers of an update; port and mark belong to the driver, which has the sockets. */
  configure(update: DeviceUpdate, nowMs: number, effects: Effects): void {
    this.#setKeys(update, effects)
    if (update.replacePeers === true) for (const peer of [...this.#peers]) this.removePeer(peer, effects)
    for (const peerUpdate of update.peers) {
      applyPeerUpdate(this, this.#peers, peerUpdate, { sockets: this.#sockets, nowMs, effects })
    }
    for (const { publicKey } of update.peers) this.#touch(this.#peers.find(publicKey), nowMs)
    const changes = this.#peers.takeAllowedIpChanges()
    if (changes.length > 0) effects.push({ kind: 'changeAllowedIps', changes })
  }

  /** Up, down, or new sockets. Down ends all keypairs, as taking a kernel interface down does. */
  setSockets(sockets: OuterSockets | undefined, nowMs: number, effects: Effects): void {
    this.#sockets = sockets ?? NO_SOCKETS
    if (sockets === undefined) this.#queue.length = 0
    for (const peer of this.#peers) {
      peer.bindTo(this.#sockets, nowMs, effects)
      if (sockets === undefined) peer.forgetKeys(effects)
      this.#touch(peer, nowMs)
    }
  }

  /** Where a managed peer is reached from now on; others are left alone. */
  setPeerPath(publicKey: PublicKey, path: Path | undefined, nowMs: number, effects: Effects): void {
    const peer = this.#peers.findByAnyKey(publicKey)
    peer?.setPath(path, nowMs, effects)
    this.#touch(peer, nowMs)
  }

  /** What carries messages to managed peers has come up. */
  handleCarrierUp(nowMs: number): void {
    for (const peer of this.#peers) {
      peer.handleCarrierUp(nowMs)
      this.#touch(peer, nowMs)
    }
  }

  /** A managed peer has proven that it was started anew. */
  handlePeerRestarted(publicKey: PublicKey, nowMs: number): void {
    const peer = this.#peers.findByAnyKey(publicKey)
    peer?.handleRestarted(nowMs)
    this.#touch(peer, nowMs)
  }

  /** See Peer.setHandshakePaths. */
  setHandshakePaths(publicKey: PublicKey, paths: HandshakePaths, nowMs: number, effects: Effects): void {
    const peer = this.#peers.findByAnyKey(publicKey)
    peer?.setHandshakePaths(paths, nowMs, effects)
    this.#touch(peer, nowMs)
  }

  /** By any of its keys. */
  findPeer(publicKey: PublicKey): Peer | undefined {
    return this.#peers.findByAnyKey(publicKey)
  }

  /** Undefined if there is no room, or the key is our own: nobody is their own peer. */
  tryAddPeer(peerKey: PublicKey, isManaged: boolean, effects: Effects): Peer | undefined {
    if (this.#peers.size >= this.#options.maxPeers || this.isOwnKey(peerKey)) return undefined
    const slot = this.#peers.freeSlot()
    const peer = new Peer(this.#context, {
      publicKey: peerKey,
      slot,
      isManaged,
      activity: this.#options.activityOf(slot),
    })
    this.#peers.add(peer)
    effects.push({ kind: 'addPeer', slot })
    if (isManaged) effects.push({ kind: 'setRoaming', slot, isRoaming: false })
    peer.setIdentity(this.#keys.own, effects)
    return peer
  }

  isOwnKey(publicKey: PublicKey): boolean {
    return this.#keys.has(publicKey)
  }

  removePeer(peer: Peer, effects: Effects): void {
    peer.wipe()
    this.#peers.remove(peer)
    this.#deadlines.delete(peer)
    effects.push({ kind: 'removePeer', slot: peer.slot })
  }

  /** To managed peers, who are told of it, this device is who it was if its key follows on the one before. */
  #setKeys(update: DeviceUpdate, effects: Effects): void {
    const change = this.#keys.apply(update)
    if (change === 'same') return
    const keys = this.#keys.own
    if (change === 'identity') this.#queue.length = 0
    const self = keys && this.#peers.find(keys.current.publicKey)
    if (self !== undefined) this.removePeer(self, effects)
    for (const peer of this.#peers) {
      const isSame = change === 'previous' || (change === 'succession' && peer.isManaged)
      if (isSame) peer.setOwnKeys(keys)
      else peer.setIdentity(keys, effects)
    }
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** A datagram that is no transport message. Unknown ones cost a look at four bytes. */
  handleDatagram(path: Path, bytes: Uint8Array, nowMs: number, effects: Effects): void {
    switch (messageTypeOf(bytes)) {
      case MESSAGE_INITIATION: {
        const message = decodeInitiation(bytes)
        const own = message && this.#admit(bytes, path, nowMs, effects)
        if (message === undefined) this.#count('handshakeMalformed')
        else if (own !== undefined) this.#queue.push({ kind: 'initiation', message, path, own })
        break
      }
      case MESSAGE_RESPONSE: {
        const message = decodeResponse(bytes)
        if (message === undefined) this.#count('handshakeMalformed')
        else if (this.#indices.find(message.receiverIndex)?.kind !== 'handshake') {
          this.#count('handshakeUnknownIndex')
        } else if (this.#admit(bytes, path, nowMs, effects) !== undefined) {
          this.#queue.push({ kind: 'response', message, path })
        }
        break
      }
      case MESSAGE_COOKIE_REPLY:
        this.#count(this.#handleCookieReply(bytes, nowMs))
        break
      default:
        this.#count('handshakeMalformed')
    }
  }

  /** Gives the peer; undefined if there is none any more. */
  handleHandshakeNeeded(slot: number, nowMs: number): Peer | undefined {
    const peer = this.#peers.at(slot)
    peer?.handleHandshakeNeeded(nowMs)
    this.#touch(peer, nowMs)
    return peer
  }

  /** Reports come late: the keypair, and with it the peer, may have gone since. Then nothing happens. */
  handleKeypairConfirmed(localIndex: number, nowMs: number, effects: Effects): void {
    const owner = this.#indices.find(localIndex)
    if (owner?.kind !== 'keypair') return
    owner.peer.handleKeypairConfirmed(owner.createdAtMs, nowMs, effects)
    this.#touch(owner.peer, nowMs)
  }

  /** `localIndex`: of the keypair whose message came over `path`; may come late, as above. */
  handleSourceChanged(localIndex: number, path: Path): void {
    this.#indices.find(localIndex)?.peer.handleSourceChanged(path)
  }

  /** See Peer.forgetLocalAddress. */
  forgetLocalAddress(slot: number, effects: Effects): void {
    this.#peers.at(slot)?.forgetLocalAddress(effects)
  }

  /** The data plane let keypairs go: their receiver indices are free again. */
  handleKeypairsRemoved(localIndices: readonly number[]): void {
    for (const index of localIndices) this.#indices.release(index)
  }

  /** Call when nextDeadlineMs has come. Consumes waiting handshakes and fires due timers, some of each. */
  handleTimeout(nowMs: number, effects: Effects): void {
    for (const queued of this.#queue.splice(0, HANDSHAKES_PER_TURN)) this.#consume(queued, nowMs, effects)
    for (let fired = 0; fired < TIMERS_PER_TURN; fired++) {
      const peer = this.#deadlines.takeDue(nowMs)
      if (peer === undefined) break
      peer.handleTimeout(nowMs, effects)
      this.#touch(peer, nowMs)
    }
  }

  /** After each input of a peer. */
  #touch(peer: Peer | undefined, nowMs: number): void {
    if (peer !== undefined) this.#deadlines.set(peer, peer.nextDeadlineMs(nowMs))
  }

  // --- admission -------------------------------------------------------------------------------

  /** Gives the key that the message was made for; undefined if it is turned away, and counted. */
  #admit(bytes: Uint8Array, path: Path, nowMs: number, effects: Effects): StaticKey | undefined {
    const drop = (reason: HandshakeDropReason): undefined => {
      this.#count(reason)
    }
    const own = this.#keys.findFor(bytes)
    if (own === undefined) return drop('handshakeMac1Invalid')
    this.#load.arrived(this.#queue.length, nowMs)
    if (this.#load.isUnderLoad(nowMs)) {
      if (!own.checker.isMac2Valid(bytes, path.remote, nowMs)) {
        const message = own.checker.createCookieReply(bytes, path.remote, nowMs)
        effects.push({ kind: 'send', path, message, tos: 0 })
        return drop('handshakeCookieRequired')
      }
      if (!this.#rateLimiter.isAllowed(path.remote.address, nowMs)) return drop('handshakeRateLimited')
    }
    return this.#queue.length < MAX_QUEUED_HANDSHAKES ? own : drop('handshakeQueueFull')
  }

  #consume(queued: QueuedHandshake, nowMs: number, effects: Effects): void {
    if (queued.kind === 'initiation') {
      this.#count(this.#consumeInitiation(queued, nowMs, effects))
      return
    }
    const peer = this.#indices.find(queued.message.receiverIndex)?.peer
    this.#count(
      peer === undefined
        ? 'handshakeUnknownIndex'
        : peer.handleResponse(queued.message, queued.path, nowMs, effects),
    )
    this.#touch(peer, nowMs)
  }

  #consumeInitiation(
    { message, path, own }: Extract<QueuedHandshake, { kind: 'initiation' }>,
    nowMs: number,
    effects: Effects,
  ): HandshakeDropReason | undefined {
    const received = consumeInitiation(this.#options.crypto, own.secret, message, (remote) => {
      const staticStatic = this.#peers.findByAnyKey(remote)?.keys.staticStatic(own.secret, remote)
      return staticStatic === undefined ? undefined : { staticStatic }
    })
    const peer = received && this.#peers.findByAnyKey(received.remoteStatic)
    if (received === undefined || peer === undefined) return 'handshakeUnknownPeer'
    const reason = peer.handleInitiation(received, path, nowMs, effects)
    this.#touch(peer, nowMs)
    return reason
  }

  #handleCookieReply(bytes: Uint8Array, nowMs: number): HandshakeDropReason | undefined {
    const reply = decodeCookieReply(bytes)
    if (reply === undefined) return 'handshakeMalformed'
    const owner = this.#indices.find(reply.receiverIndex)
    return owner === undefined ? 'handshakeUnknownIndex' : owner.peer.handleCookieReply(reply, nowMs)
  }

  #count(reason: HandshakeDropReason | undefined): void {
    if (reason !== undefined) this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1)
  }
}
