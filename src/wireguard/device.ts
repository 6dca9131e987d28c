/**
 * The local interface's protocol machine: one static key, many peers. Sans-IO.
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
import type { Prefix } from '../net/prefix.js'
import type { DeviceUpdate, PeerSnapshot } from './configuration.js'
import {
  MAX_QUEUED_HANDSHAKES,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_INITIATION,
  MESSAGE_RESPONSE,
} from './constants.js'
import { CookieChecker } from './cookie.js'
import type { Crypto, DhPrivateKey, RandomBytes } from './crypto.js'
import { applyPeerUpdate } from './device-configuration.js'
import type { HandshakeDropReason } from './drops.js'
import type { Effects } from './effects.js'
import { consumeInitiation } from './handshake.js'
import { HandshakeLoad } from './handshake-load.js'
import { IndexTable } from './index-table.js'
import type { PrivateKey } from './keys.js'
import {
  decodeCookieReply,
  decodeInitiation,
  decodeResponse,
  type Initiation,
  messageTypeOf,
  type Response,
} from './messages.js'
import { type IndexOwner, type OuterSockets, Peer, type PeerContext } from './peer.js'
import { PeerTable } from './peer-table.js'
import { RateLimiter } from './rate-limiter.js'
import { Tai64nClock } from './tai64n.js'
import type { TransportActivity } from './timers.js'

/** Handshakes consumed per call of handleTimeout: about 10 ms of work, then data gets its turn. */
const HANDSHAKES_PER_TURN = 16
const NO_SOCKETS: OuterSockets = { v4: undefined, v6: undefined }

type QueuedHandshake =
  | { readonly kind: 'initiation'; readonly message: Initiation; readonly path: Path }
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
  readonly #indices: IndexTable<IndexOwner>
  readonly #load = new HandshakeLoad()
  readonly #rateLimiter = new RateLimiter()
  readonly #queue: QueuedHandshake[] = []
  readonly #drops = new Map<HandshakeDropReason, number>()
  #static: DhPrivateKey | undefined
  #cookieChecker: CookieChecker | undefined
  #sockets: OuterSockets = NO_SOCKETS

  constructor(options: DeviceOptions) {
    this.#options = options
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
    return this.#static
  }

  get peers(): Iterable<Peer> {
    return this.#peers
  }

  /** Handshake messages not acted upon, by reason. */
  get drops(): ReadonlyMap<HandshakeDropReason, number> {
    return this.#drops
  }

  allowedIpTable(): { prefix: Prefix; slot: number }[] {
    return [...this.#peers].flatMap((peer) =>
      this.#peers.allowedIpsOf(peer).map((prefix) => ({ prefix, slot: peer.slot })),
    )
  }

  snapshotPeer(peer: Peer, nowMs: number): PeerSnapshot {
    return {
      publicKey: peer.publicKey,
      presharedKey: peer.presharedKey,
      endpoint: peer.endpoint,
      persistentKeepaliveS: peer.timers.persistentKeepaliveMs / 1000,
      allowedIps: this.#peers.allowedIpsOf(peer),
      lastHandshakeWallMs: peer.lastHandshakeWallMs,
      lastHandshakeMs: peer.lastHandshakeMs,
      rxBytes: peer.rxHandshakeBytes,
      txBytes: peer.txHandshakeBytes,
      state: peer.state(nowMs),
    }
  }

  /** Infinity if nothing is to be done; may lie in the past. */
  nextDeadlineMs(): number {
    if (this.#queue.length > 0) return Number.NEGATIVE_INFINITY
    let earliest = Number.POSITIVE_INFINITY
    for (const peer of this.#peers) earliest = Math.min(earliest, peer.deadlineMs)
    return earliest
  }

  // --- commands --------------------------------------------------------------------------------

  /** Key and peers of an update; port and mark belong to the driver, which has the sockets. */
  configure(update: DeviceUpdate, nowMs: number, effects: Effects): void {
    if (update.privateKey !== undefined) this.#setPrivateKey(update.privateKey, effects)
    if (update.replacePeers === true) for (const peer of [...this.#peers]) this.removePeer(peer, effects)
    let hasMovedPrefixes = update.replacePeers === true
    for (const peerUpdate of update.peers) {
      const peer = applyPeerUpdate(this, this.#peers, peerUpdate, { sockets: this.#sockets, nowMs, effects })
      peer?.touch(nowMs)
      hasMovedPrefixes ||=
        peerUpdate.remove === true ||
        peerUpdate.replaceAllowedIps === true ||
        peerUpdate.allowedIps.length > 0
    }
    if (hasMovedPrefixes) effects.push({ kind: 'allowedIpsChanged' })
  }

  /** Up, down, or new sockets. Down ends all keypairs, as taking a kernel interface down does. */
  setSockets(sockets: OuterSockets | undefined, nowMs: number, effects: Effects): void {
    this.#sockets = sockets ?? NO_SOCKETS
    if (sockets === undefined) this.#queue.length = 0
    for (const peer of this.#peers) {
      peer.bindTo(this.#sockets, effects)
      if (sockets === undefined) peer.forgetKeys(effects)
      peer.touch(nowMs)
    }
  }

  /** Undefined if there is no room, or the key is our own: nobody is their own peer. */
  tryAddPeer(peerKey: Peer['publicKey'], effects: Effects): Peer | undefined {
    const isOwnKey = this.#static?.publicKey.every((byte, i) => byte === peerKey[i]) === true
    if (this.#peers.size >= this.#options.maxPeers || isOwnKey) return undefined
    const slot = this.#peers.freeSlot()
    const peer = new Peer(this.#context, {
      publicKey: peerKey,
      slot,
      activity: this.#options.activityOf(slot),
    })
    this.#peers.add(peer)
    effects.push({ kind: 'addPeer', slot })
    peer.setStaticPrivate(this.#static, effects)
    return peer
  }

  removePeer(peer: Peer, effects: Effects): void {
    peer.wipe()
    this.#peers.remove(peer)
    effects.push({ kind: 'removePeer', slot: peer.slot })
  }

  #setPrivateKey(privateKey: PrivateKey | null, effects: Effects): void {
    const { crypto, random } = this.#options
    this.#static?.wipe()
    this.#static = privateKey === null ? undefined : crypto.dhPrivateKey(privateKey)
    this.#cookieChecker =
      this.#static === undefined ? undefined : new CookieChecker(crypto, random, this.#static.publicKey)
    this.#queue.length = 0
    const self = this.#static === undefined ? undefined : this.#peers.find(this.#static.publicKey)
    if (self !== undefined) this.removePeer(self, effects)
    for (const peer of this.#peers) peer.setStaticPrivate(this.#static, effects)
  }

  // --- inputs ----------------------------------------------------------------------------------

  /** A datagram that is no transport message. Unknown ones cost a look at four bytes. */
  handleDatagram(path: Path, bytes: Uint8Array, nowMs: number, effects: Effects): void {
    switch (messageTypeOf(bytes)) {
      case MESSAGE_INITIATION: {
        const message = decodeInitiation(bytes)
        if (message === undefined) this.#count('handshakeMalformed')
        else if (this.#isAdmitted(bytes, path, nowMs, effects)) {
          this.#queue.push({ kind: 'initiation', message, path })
        }
        break
      }
      case MESSAGE_RESPONSE: {
        const message = decodeResponse(bytes)
        if (message === undefined) this.#count('handshakeMalformed')
        else if (this.#indices.find(message.receiverIndex)?.kind !== 'handshake') {
          this.#count('handshakeUnknownIndex')
        } else if (this.#isAdmitted(bytes, path, nowMs, effects)) {
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

  handleHandshakeNeeded(slot: number, nowMs: number): void {
    const peer = this.#peers.at(slot)
    peer?.timers.handshakeWanted(nowMs)
    peer?.touch(nowMs)
  }

  handleKeypairConfirmed(slot: number, nowMs: number, effects: Effects): void {
    const peer = this.#peers.at(slot)
    peer?.handleKeypairConfirmed(nowMs, effects)
    peer?.touch(nowMs)
  }

  handleSourceChanged(slot: number, path: Path): void {
    this.#peers.at(slot)?.handleSourceChanged(path)
  }

  /** The data plane let keypairs go: their receiver indices are free again. */
  handleKeypairsRemoved(localIndices: readonly number[]): void {
    for (const index of localIndices) this.#indices.release(index)
  }

  /** Call when nextDeadlineMs has come. Consumes waiting handshakes, then fires due timers. */
  handleTimeout(nowMs: number, effects: Effects): void {
    for (const queued of this.#queue.splice(0, HANDSHAKES_PER_TURN)) this.#consume(queued, nowMs, effects)
    for (const peer of this.#peers) if (peer.deadlineMs <= nowMs) peer.handleTimeout(nowMs, effects)
  }

  // --- admission -------------------------------------------------------------------------------

  #isAdmitted(bytes: Uint8Array, path: Path, nowMs: number, effects: Effects): boolean {
    const checker = this.#cookieChecker
    const drop = (reason: HandshakeDropReason): false => {
      this.#count(reason)
      return false
    }
    if (checker === undefined || !checker.isMac1Valid(bytes)) return drop('handshakeMac1Invalid')
    this.#load.arrived(this.#queue.length, nowMs)
    if (this.#load.isUnderLoad(nowMs)) {
      if (!checker.isMac2Valid(bytes, path.remote, nowMs)) {
        const message = checker.createCookieReply(bytes, path.remote, nowMs)
        effects.push({ kind: 'send', path, message, tos: 0 })
        return drop('handshakeCookieRequired')
      }
      if (!this.#rateLimiter.isAllowed(path.remote.address, nowMs)) return drop('handshakeRateLimited')
    }
    return this.#queue.length < MAX_QUEUED_HANDSHAKES || drop('handshakeQueueFull')
  }

  #consume(queued: QueuedHandshake, nowMs: number, effects: Effects): void {
    if (queued.kind === 'initiation') {
      this.#count(this.#consumeInitiation(queued.message, queued.path, nowMs, effects))
      return
    }
    const peer = this.#indices.find(queued.message.receiverIndex)?.peer
    this.#count(
      peer === undefined
        ? 'handshakeUnknownIndex'
        : peer.handleResponse(queued.message, queued.path, nowMs, effects),
    )
    peer?.touch(nowMs)
  }

  #consumeInitiation(
    message: Initiation,
    path: Path,
    nowMs: number,
    effects: Effects,
  ): HandshakeDropReason | undefined {
    if (this.#static === undefined) return 'handshakeUnknownPeer'
    const received = consumeInitiation(this.#options.crypto, this.#static, message, (remote) => {
      const staticStatic = this.#peers.find(remote)?.staticStatic
      return staticStatic === undefined ? undefined : { staticStatic }
    })
    const peer = received === undefined ? undefined : this.#peers.find(received.remoteStatic)
    if (received === undefined || peer === undefined) return 'handshakeUnknownPeer'
    const reason = peer.handleInitiation(received, path, nowMs, effects)
    peer.touch(nowMs)
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
