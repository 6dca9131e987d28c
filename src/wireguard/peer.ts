/**
 * One remote: its handshakes, its timers, and where it is. Sans-IO: inputs and a time go in, effects come
 * out. Keypairs themselves live in the data plane; here are only their indices.
 *
 * An initiation of ours stays open while we answer one of theirs, so two that start at the same
 * moment both finish in one round trip; the next renewal is then left to the one with the greater key.
 * DEVIATION: the kernel keeps one handshake state per peer and waits for a retransmit in that case;
 * nothing on the wire differs.
 * INVARIANT: no field changes before the last check of an input has passed.
 */

import { equalBytes } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { equalPath, type Path } from '../net/path.js'
import type { PeerState } from './configuration.js'
import {
  HANDSHAKE_TOS,
  INITIATION_BYTES,
  INITIATION_MIN_INTERVAL_MS,
  PATH_CHANGED_MIN_AGE_MS,
  REKEY_TIMEOUT_MS,
  RESPONSE_BYTES,
} from './constants.js'
import { CookieJar } from './cookie.js'
import type { Crypto, DhPrivateKey, RandomBytes } from './crypto.js'
import type { HandshakeDropReason } from './drops.js'
import type { Effects } from './effects.js'
import {
  type ConsumedInitiation,
  consumeResponse,
  createInitiation,
  createResponse,
  type InitiationState,
  type TransportKeys,
  wipeState,
} from './handshake.js'
import { type HandshakePaths, HandshakeWays } from './handshake-ways.js'
import type { IndexTable } from './index-table.js'
import type { PublicKey } from './keys.js'
import type { CookieReply, Response } from './messages.js'
import { PeerClock } from './peer-clock.js'
import { PeerHistory } from './peer-history.js'
import { type OwnKeys, PeerKeys } from './peer-keys.js'
import { type OuterSockets, PeerPath } from './peer-path.js'
import type { Tai64nClock } from './tai64n.js'
import { Timers, type TransportActivity } from './timers.js'

/** Who a receiver index leads to: an initiation that waits for its response, or a keypair. */
export type IndexOwner =
  | { readonly kind: 'handshake'; readonly peer: Peer }
  | { readonly kind: 'keypair'; readonly peer: Peer; readonly createdAtMs: number }

/** What all peers of a device share. */
export interface PeerContext {
  readonly crypto: Crypto
  readonly random: RandomBytes
  /** 0 to 1. */
  readonly jitter: () => number
  readonly wallNowMs: () => number
  readonly tai64n: Tai64nClock
  readonly indices: IndexTable<IndexOwner>
}

/** An initiation of ours that may be answered. */
interface OpenInitiation {
  readonly state: InitiationState
  /** Our static key that it was made with. */
  readonly own: DhPrivateKey
  readonly localIndex: number
  readonly message: Uint8Array
}

type Handshake =
  | { readonly kind: 'idle' }
  | (OpenInitiation & {
      readonly kind: 'initiationSent'
      readonly attempt: number
      readonly sentMs: number
      /** For the answer. */
      readonly patienceMs: number
      /** An initiation of theirs was answered meanwhile. */
      readonly isCrossed: boolean
    })

const IDLE: Handshake = { kind: 'idle' }

export interface PeerOptions {
  readonly publicKey: PublicKey
  readonly slot: number
  /** Somebody else chooses its path. */
  readonly isManaged: boolean
  readonly activity: TransportActivity
}

export class Peer {
  readonly slot: number
  readonly isManaged: boolean
  readonly activity: TransportActivity
  readonly timers: Timers
  readonly keys: PeerKeys
  readonly #context: PeerContext
  #cookies: CookieJar
  readonly #path: PeerPath

  readonly history: PeerHistory = new PeerHistory()
  #handshake: Handshake = IDLE
  readonly clock: PeerClock = new PeerClock()
  #lastInitiationReceivedMs = Number.NEGATIVE_INFINITY
  /** The keypair in use and one that they began came from crossing initiations: both sides would renew. */
  #isCrossed = false
  #keypairMs = 0
  readonly #ways = new HandshakeWays()
  #responsePath: Path | undefined

  constructor(context: PeerContext, options: PeerOptions) {
    this.#context = context
    this.slot = options.slot
    this.isManaged = options.isManaged
    this.activity = options.activity
    this.timers = new Timers(context.jitter)
    this.#cookies = new CookieJar(context.crypto, options.publicKey)
    this.keys = new PeerKeys(options.publicKey)
    this.#path = new PeerPath(options.slot)
  }

  get publicKey(): PublicKey {
    return this.keys.publicKey
  }

  get endpoint(): Endpoint | undefined {
    return this.#path.endpoint
  }

  /** When the newest keypair was agreed upon, in either role; 0 if there is none. */
  get keypairMs(): number {
    return this.#keypairMs
  }

  /** When the initiation that waits for its answer was sent; 0 if none does. */
  get initiationMs(): number {
    return this.#handshake.kind === 'initiationSent' ? this.#handshake.sentMs : 0
  }

  /** Over which the last initiation was answered; undefined if none was, or theirs was used instead. */
  get responsePath(): Path | undefined {
    return this.#responsePath
  }

  state(nowMs: number): PeerState {
    return this.history.state(nowMs, this.#handshake.kind !== 'idle')
  }

  /** When `handleTimeout` wants to be called; changes with every input. */
  nextDeadlineMs(nowMs: number): number {
    return this.timers.nextDeadlineMs(this.activity, nowMs)
  }

  // --- commands --------------------------------------------------------------------------------

  /** A new identity of ours: everything agreed under the old one ends. */
  setIdentity(own: OwnKeys | undefined, effects: Effects): void {
    this.setOwnKeys(own)
    this.forgetKeys(effects)
  }

  /** The same identity by other keys: what was agreed goes on. Only managed peers are told of such changes. */
  setOwnKeys(own: OwnKeys | undefined): void {
    this.keys.setOwn(own && { current: own.current, previous: this.isManaged ? own.previous : undefined })
  }

  /** Of a managed peer: the same one by other keys. What was agreed goes on. */
  setPublicKeys(publicKey: PublicKey, previousKey: PublicKey | undefined): void {
    if (!equalBytes(publicKey, this.publicKey)) this.#cookies = new CookieJar(this.#context.crypto, publicKey)
    this.keys.setRemote(publicKey, previousKey)
  }

  setEndpoint(endpoint: Endpoint, sockets: OuterSockets, nowMs: number, effects: Effects): void {
    if (this.isManaged) return
    if (!this.#path.isAt(endpoint)) this.history.startedAfresh()
    if (this.#path.bind(endpoint, sockets, effects)) this.timers.pathFound(nowMs)
  }

  /** Sockets changed: the last known endpoint is reached over the one of its family. */
  bindTo(sockets: OuterSockets, nowMs: number, effects: Effects): void {
    if (this.isManaged) return
    if (this.#path.bind(this.#path.endpoint, sockets, effects)) this.timers.pathFound(nowMs)
  }

  /** Of a managed peer. */
  setPath(path: Path | undefined, nowMs: number, effects: Effects): void {
    if (!this.isManaged) return
    const before = this.#path.current
    this.#path.set(path, effects)
    if (path === undefined) return
    if (before === undefined) this.timers.pathFound(nowMs)
    else if (!this.#ways.areApart && !equalPath(before, path)) {
      this.#beginAnew(nowMs, PATH_CHANGED_MIN_AGE_MS)
    }
  }

  /** Of a managed peer: what carries messages to it has come up, so what was sent before may be lost. */
  handleCarrierUp(nowMs: number): void {
    if (this.isManaged) this.#beginAnew(nowMs, INITIATION_MIN_INTERVAL_MS)
  }

  /** Of a managed peer, proven by itself: it was started anew, and knows none of the keypairs. */
  handleRestarted(nowMs: number): void {
    const isTalking = this.history.isConnected(nowMs) || this.#handshake.kind !== 'idle'
    if (this.isManaged && isTalking) this.timers.keysForgotten(nowMs, PATH_CHANGED_MIN_AGE_MS)
  }

  /** Of a managed peer. One that is unanswered goes over what is new too, and is begun anew if it is old. */
  setHandshakePaths(paths: HandshakePaths, nowMs: number, effects: Effects): void {
    if (!this.isManaged) return
    const added = this.#ways.choose(paths, this.#path.current)
    const handshake = this.#handshake
    if (added.length === 0 || handshake.kind !== 'initiationSent') return
    if (nowMs - handshake.sentMs >= PATH_CHANGED_MIN_AGE_MS) this.#beginAnew(nowMs, PATH_CHANGED_MIN_AGE_MS)
    else for (const path of added) this.#sendHandshake(path, handshake.message, nowMs, effects)
  }

  /** What is unanswered, as soon as it is `minAgeMs` old: it went another way, or nowhere. */
  #beginAnew(nowMs: number, minAgeMs: number): void {
    if (this.#handshake.kind === 'initiationSent') this.#handshake = { ...this.#handshake, patienceMs: 0 }
    this.timers.wayChanged(nowMs, minAgeMs)
  }

  /** Ends keypairs and handshake, wipes their secrets and drops what waits; configuration stays. */
  forgetKeys(effects: Effects): void {
    this.#endHandshake()
    this.timers.cancelHandshake()
    this.history.startedAfresh()
    this.#removeKeypairs(effects)
    effects.push({ kind: 'dropStaged', slot: this.slot })
  }

  /** Before the peer is forgotten. */
  wipe(): void {
    this.#endHandshake()
    this.keys.wipe()
  }

  // --- handshake as initiator ------------------------------------------------------------------

  /** Sends an initiation if there is a key and a path, else gives up what waits for it. */
  #initiate(nowMs: number, effects: Effects): void {
    const { attempt, patienceMs } = this.#nextAttempt()
    this.#endHandshake()
    this.#responsePath = undefined
    const paths = this.#ways.from(this.#path.current)
    const created = paths.length === 0 ? undefined : this.#tryCreateInitiation(attempt)
    if (created === undefined) {
      this.timers.cancelHandshake()
      effects.push({ kind: 'dropStaged', slot: this.slot })
      return
    }
    const open = { attempt, patienceMs, sentMs: nowMs, isCrossed: false }
    this.#handshake = { kind: 'initiationSent', ...created, ...open }
    for (const path of paths) this.#sendHandshake(path, created.message, nowMs, effects)
    this.timers.handshakeInitiated(nowMs, patienceMs)
  }

  /** A managed peer is waited for twice as long each time, and anew where handshakes go another way. */
  #nextAttempt(): { readonly attempt: number; readonly patienceMs: number } {
    const { attempt, patienceMs } =
      this.#handshake.kind === 'initiationSent' ? this.#handshake : { attempt: 0, patienceMs: 0 }
    const nextMs = this.isManaged ? this.#ways.patienceMs(patienceMs) : REKEY_TIMEOUT_MS
    return { attempt: attempt + 1, patienceMs: nextMs }
  }

  /**
   * Undefined without a key of ours, or for a remote key of low order. A peer that does not answer may not
   * know our current key yet: every second attempt is made with the previous one, if there is one.
   */
  #tryCreateInitiation(attempt: number): OpenInitiation | undefined {
    const { crypto, random, indices, tai64n, wallNowMs } = this.#context
    const keys = this.keys.own
    const own = (attempt % 2 === 0 ? keys?.previous : undefined) ?? keys?.current
    const staticStatic = own && this.keys.staticStatic(own, this.publicKey)
    if (own === undefined || staticStatic === undefined) return undefined
    const localIndex = indices.claim({ kind: 'handshake', peer: this })
    const created = createInitiation(crypto, random, {
      staticPrivate: own,
      remoteStatic: this.publicKey,
      staticStatic,
      senderIndex: localIndex,
      timestamp: tai64n.next(wallNowMs()),
    })
    if (created === undefined) indices.release(localIndex)
    return created && { ...created, own, localIndex }
  }

  /** Undefined if the response was accepted. */
  handleResponse(
    response: Response,
    path: Path,
    nowMs: number,
    effects: Effects,
  ): HandshakeDropReason | undefined {
    const handshake = this.#handshake
    if (handshake.kind !== 'initiationSent' || handshake.localIndex !== response.receiverIndex) {
      return 'handshakeUnknownIndex'
    }
    const keys = consumeResponse(this.#context.crypto, handshake.own, {
      state: handshake.state,
      presharedKey: this.keys.psk,
      response,
    })
    if (keys === undefined) return 'handshakeInvalid'

    const { localIndex, isCrossed } = handshake
    wipeState(handshake.state)
    this.#handshake = IDLE
    this.#responsePath = path
    this.#context.indices.reassign(localIndex, { kind: 'keypair', peer: this, createdAtMs: nowMs })
    this.#handshakeReceived(path, RESPONSE_BYTES, nowMs, effects)
    this.#install(keys, { localIndex, remoteIndex: response.senderIndex, isInitiator: true }, nowMs, effects)
    this.#completed(nowMs, nowMs, effects)
    this.#isCrossed = isCrossed
    // The responder may not send before it hears from us: staged packets go, or an empty one.
    effects.push({ kind: 'sendKeepalive', slot: this.slot })
    return undefined
  }

  handleCookieReply(reply: CookieReply, nowMs: number): HandshakeDropReason | undefined {
    return this.#cookies.consumeCookieReply(reply, nowMs) ? undefined : 'handshakeCookieInvalid'
  }

  // --- handshake as responder ------------------------------------------------------------------

  /** `received`: authenticated, but perhaps replayed; wiped here. Undefined if it was answered. */
  handleInitiation(
    received: ConsumedInitiation,
    path: Path,
    nowMs: number,
    effects: Effects,
  ): HandshakeDropReason | undefined {
    const reason = this.#answer(received, path, nowMs, effects)
    wipeState(received.state)
    return reason
  }

  #answer(
    received: ConsumedInitiation,
    path: Path,
    nowMs: number,
    effects: Effects,
  ): HandshakeDropReason | undefined {
    if (!this.clock.isNew(received.timestamp)) return 'handshakeReplayed'
    if (nowMs - this.#lastInitiationReceivedMs < INITIATION_MIN_INTERVAL_MS) return 'handshakeFlood'
    const { crypto, random, indices } = this.#context
    const localIndex = indices.claim({ kind: 'keypair', peer: this, createdAtMs: nowMs })
    const created = createResponse(crypto, random, {
      state: received.state,
      presharedKey: this.keys.psk,
      senderIndex: localIndex,
    })
    if (created === undefined) {
      indices.release(localIndex)
      return 'handshakeInvalid'
    }

    this.clock.take(received.timestamp)
    this.#lastInitiationReceivedMs = nowMs
    if (this.#handshake.kind === 'initiationSent') this.#handshake = { ...this.#handshake, isCrossed: true }
    this.#handshakeReceived(path, INITIATION_BYTES, nowMs, effects)
    const remoteIndex = received.state.remoteIndex
    this.#install(created.keys, { localIndex, remoteIndex, isInitiator: false }, nowMs, effects)
    for (const way of this.#ways.back(path)) this.#sendHandshake(way, created.message, nowMs, effects)
    this.timers.handshakeAnswered(nowMs)
    return undefined
  }

  /** The data plane opened the first message under a keypair that we answered for at `createdAtMs`. */
  handleKeypairConfirmed(createdAtMs: number, nowMs: number, effects: Effects): void {
    this.#endHandshake()
    this.#completed(createdAtMs, nowMs, effects)
    this.#isCrossed = false
  }

  // --- other inputs ----------------------------------------------------------------------------

  /** Packets wait for a keypair, or the keypair in use is due for renewal. */
  handleHandshakeNeeded(nowMs: number): void {
    const isYielding = this.#isCrossed && this.history.isConnected(nowMs) && this.keys.isOursLess
    this.timers.handshakeWanted(isYielding ? nowMs + REKEY_TIMEOUT_MS : nowMs)
  }

  /** The data plane sends to the new source already. */
  handleSourceChanged(path: Path): void {
    if (!this.isManaged) this.#path.adopt(path)
  }

  /**
   * The route to the peer does not lead over the link of the address that it wrote to. A keepalive tells it of the new
   * one: answers alone would leave right after what it still writes to the old one, which is learnt again with each.
   */
  forgetLocalAddress(effects: Effects): void {
    if (this.isManaged) return
    this.#path.forgetLocalAddress(effects)
    effects.push({ kind: 'sendKeepalive', slot: this.slot })
  }

  handleTimeout(nowMs: number, effects: Effects): void {
    for (const action of this.timers.handleTimeout(this.activity, nowMs)) {
      switch (action) {
        case 'unanswered':
          this.#path.forgetLocalAddress(effects)
          break
        case 'initiate':
          this.#initiate(nowMs, effects)
          break
        case 'retransmit':
          this.#retransmit(nowMs, effects)
          break
        case 'giveUp':
          this.history.gaveUp()
          this.#endHandshake()
          effects.push({ kind: 'dropStaged', slot: this.slot })
          break
        case 'keepalive':
          effects.push({ kind: 'sendKeepalive', slot: this.slot })
          break
        case 'wipe':
          this.#removeKeypairs(effects)
          break
      }
    }
  }

  #retransmit(nowMs: number, effects: Effects): void {
    this.#path.forgetLocalAddress(effects)
    if (this.#handshake.kind === 'initiationSent') {
      const attempts = this.#handshake.attempt
      effects.push({ kind: 'handshakeFailing', publicKey: this.publicKey, attempts })
    }
    this.#initiate(nowMs, effects)
  }

  /** An open handshake goes on: after a long sleep it may be newer than the keypairs that end here. */
  #removeKeypairs(effects: Effects): void {
    this.history.keypairsRemoved()
    this.#keypairMs = 0
    effects.push({ kind: 'removeKeypairs', slot: this.slot })
  }

  // --- shared ----------------------------------------------------------------------------------

  #handshakeReceived(path: Path, bytes: number, nowMs: number, effects: Effects): void {
    this.history.rxBytes += bytes
    this.timers.handshakeReceived(nowMs)
    if (!this.isManaged) this.#path.set(path, effects)
  }

  #install(
    keys: TransportKeys,
    names: { localIndex: number; remoteIndex: number; isInitiator: boolean },
    nowMs: number,
    effects: Effects,
  ): void {
    const { sendKey, receiveKey } = keys
    const keypair = { sendKey, receiveKey, ...names, createdAtMs: nowMs }
    effects.push({ kind: 'installKeypair', slot: this.slot, keypair })
    this.timers.keypairDerived(nowMs)
    this.#keypairMs = nowMs
  }

  #completed(createdAtMs: number, nowMs: number, effects: Effects): void {
    this.timers.handshakeCompleted()
    this.history.completed(createdAtMs, nowMs, this.#context.wallNowMs())
    effects.push({ kind: 'handshakeCompleted', publicKey: this.publicKey })
  }

  #sendHandshake(path: Path, message: Uint8Array, nowMs: number, effects: Effects): void {
    this.#cookies.stamp(message, nowMs)
    this.history.txBytes += message.length
    effects.push({ kind: 'send', path, message, tos: HANDSHAKE_TOS })
  }

  /** Back to idle: the open initiation's secrets are wiped, its index is free. */
  #endHandshake(): void {
    if (this.#handshake.kind === 'idle') return
    wipeState(this.#handshake.state)
    this.#context.indices.release(this.#handshake.localIndex)
    this.#handshake = IDLE
  }
}
