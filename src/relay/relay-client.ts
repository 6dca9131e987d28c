/**
 * One end of a connection to a relay, at the node. Sans-IO: bytes and a time go in, effects and a deadline
 * come out; the connection under it is its caller's.
 *
 * The relay proves its pinned key first, and this node itself after that, inside the session and only if it
 * wants this connection. Messages may be sent as soon as the proof is out: what is refused is lost, which a
 * tunnel bears, and a round trip is saved. The first message to a peer goes right behind the number that is opened for it.
 *
 * A connection is dead when a ping is not answered in time. Pings go seldom while nothing happens, and at
 * once when something was sent and nothing has come since.
 *
 * A relay is not believed more than it has to be: see relay-inbox.ts.
 */

import { equalBytes } from '../base/bytes.js'
import type { Identity } from '../control/identity.js'
import { NoiseInitiator, type NoiseSession } from '../control/noise-nk.js'
import type { Endpoint } from '../net/endpoint.js'
import type { Crypto, RandomBytes } from '../wireguard/crypto.js'
import type { PublicKey } from '../wireguard/keys.js'
import { FrameReader } from './frame-reader.js'
import { bodyOf, encodeFrame, FRAME, type RawFrame } from './frames.js'
import { HandshakeRetries } from './handshake-retries.js'
import { RelayInbox, type RelayInboxCounters } from './relay-inbox.js'
import { type RelayMessages, RelayOutbound } from './relay-outbound.js'
import {
  encodeSessionFrame,
  RELAY_PROOF_LABEL,
  type RelayRefusal,
  type SessionFrame,
} from './session-frames.js'

/** From the connection to the welcome. */
const ADMISSION_TIMEOUT_MS = 5000
export const IDLE_PING_INTERVAL_MS = 15_000
const BUSY_PING_INTERVAL_MS = 1000
/** What a lossy way swallows is late, not lost: whoever drives this dials another connection beside long before. */
const PONG_TIMEOUT_MS = 4500
const PING_BYTES = 8
/** A relay says once a second that it drops; the network between may have kept the first for a while. */
const LIMITED_INTERVAL_MS = 500

export type RelayClientEffect =
  | { readonly kind: 'write'; readonly bytes: Uint8Array }
  /** The relay has proved its key, and waits for `prove`. */
  | { readonly kind: 'usable' }
  /** `megabits`: a second that this node may send; Infinity for no limit. */
  | { readonly kind: 'welcome'; readonly megabits: number }
  /** `identity`: base64. borrowed: valid until the next bytes come. */
  | {
      readonly kind: 'messages'
      readonly identity: string
      readonly segmentBytes: number
      readonly messages: Uint8Array
    }
  /** `identity`: base64, one that was written to. */
  | { readonly kind: 'peerGone'; readonly identity: string }
  /** Once: all peers are told of it, and a relay is not to make a node talk for ever. */
  | { readonly kind: 'observed'; readonly endpoint: Endpoint }
  | { readonly kind: 'rtt'; readonly ms: number }
  /** `dropped`: messages of this session that were over its limit. */
  | { readonly kind: 'limited'; readonly dropped: number }
  /** The caller closes the connection. */
  | { readonly kind: 'failed'; readonly reason: RelayFailure }

/** wrongRelay: it does not hold the key; forged: a frame was not its own; misbehaving: it says what no relay says. */
export type RelayFailure = RelayRefusal | 'wrongRelay' | 'silent' | 'forged' | 'misbehaving'

export interface RelayClientOptions {
  readonly identity: Identity
  /** The relay's: it must prove to hold this one. */
  readonly relayKey: PublicKey
  readonly ticket: Uint8Array
  readonly crypto: Crypto
  readonly random: RandomBytes
}

type State =
  | { readonly kind: 'new' | 'failed' }
  | { readonly kind: 'hello'; readonly initiator: NoiseInitiator }
  /** `isProven`: the proof is out; `isReady`: welcome. */
  | {
      readonly kind: 'session'
      readonly noise: NoiseSession
      readonly outbound: RelayOutbound
      isProven: boolean
      isReady: boolean
    }

interface Turn {
  readonly nowMs: number
  readonly effects: RelayClientEffect[]
}

interface Ping {
  readonly payload: Uint8Array
  readonly sentAtMs: number
}

export class RelayClient {
  readonly #options: RelayClientOptions
  readonly #reader = new FrameReader()
  readonly #inbox = new RelayInbox()
  readonly #retries = new HandshakeRetries()
  #state: State = { kind: 'new' }
  #ticket: Uint8Array
  #startedMs = 0
  #lastReceiveMs = 0
  #firstUnansweredSendMs = Number.POSITIVE_INFINITY
  #ping: Ping | undefined
  #lastPingMs = 0
  #isBlocked = false
  #limitedAtMs = Number.NEGATIVE_INFINITY
  /** Messages of this session that the relay dropped for being over its limit, as it said. */
  overLimit = 0

  constructor(options: RelayClientOptions) {
    this.#options = options
    this.#ticket = options.ticket
  }

  /** Whether the relay has proved its key. */
  get isUsable(): boolean {
    return this.#state.kind === 'session'
  }

  /** What came from the relay and was not taken, by reason. */
  get counters(): Readonly<RelayInboxCounters> {
    return this.#inbox.counters
  }

  /** The connection is there. */
  start(nowMs: number, effects: RelayClientEffect[]): void {
    const { crypto, random, relayKey } = this.#options
    this.#startedMs = nowMs
    this.#lastReceiveMs = nowMs
    this.#lastPingMs = nowMs
    const initiator = NoiseInitiator.tryCreate({ crypto, random, prologue: 'overlay relay v1' }, relayKey)
    if (initiator === undefined) {
      this.#fail('wrongRelay', effects)
      return
    }
    this.#state = { kind: 'hello', initiator }
    effects.push({ kind: 'write', bytes: encodeFrame(FRAME.hello, initiator.message) })
  }

  /** Says who this node is, after `usable`. Messages may be sent from now on. */
  prove(effects: RelayClientEffect[]): void {
    const { identity } = this.#options
    if (this.#state.kind !== 'session' || this.#state.isProven) return
    this.#state.isProven = true
    const signature = identity.sign(RELAY_PROOF_LABEL, this.#state.noise.handshakeHash)
    this.#say({ kind: 'proof', identity: identity.publicKey, signature, ticket: this.#ticket }, effects)
  }

  /** The hub gave a younger ticket: the session must not end with the one before. */
  renewTicket(ticket: Uint8Array, effects: RelayClientEffect[]): void {
    if (equalBytes(ticket, this.#ticket)) return
    this.#ticket = ticket
    if (this.#state.kind === 'session' && this.#state.isProven) this.#say({ kind: 'ticket', ticket }, effects)
  }

  handleBytes(chunk: Uint8Array, nowMs: number, effects: RelayClientEffect[]): void {
    this.#lastReceiveMs = nowMs
    this.#firstUnansweredSendMs = Number.POSITIVE_INFINITY
    this.#reader.push(chunk, (frame) => this.#handleFrame(frame, nowMs, effects))
  }

  /** Returns how many messages gave way or were not wanted; undefined if nothing may be sent now. */
  send(messages: RelayMessages, nowMs: number, effects: RelayClientEffect[]): number | undefined {
    if (this.#state.kind !== 'session' || !this.#state.isProven) return undefined
    this.#retries.handleSent(messages, nowMs)
    return this.#write(this.#state.outbound, messages, { nowMs, effects })
  }

  /** The connection's own buffer is full: what is sent from now on waits. */
  handleBlocked(): void {
    this.#isBlocked = true
  }

  /** It takes bytes again. `isBlockedAfter`: writes one frame and says whether the buffer is full again. */
  handleDrained(nowMs: number, isBlockedAfter: (bytes: Uint8Array) => boolean): void {
    this.#isBlocked = false
    if (this.#state.kind !== 'session') return
    this.#isBlocked = this.#state.outbound.drain(nowMs, isBlockedAfter)
  }

  nextDeadlineMs(): number {
    if (this.#state.kind !== 'session') return this.#livenessDeadlineMs()
    return Math.min(this.#livenessDeadlineMs(), this.#retries.nextDeadlineMs())
  }

  #livenessDeadlineMs(): number {
    const state = this.#state
    if (state.kind === 'failed') return Number.POSITIVE_INFINITY
    if (state.kind !== 'session' || !state.isReady) return this.#startedMs + ADMISSION_TIMEOUT_MS
    if (this.#ping !== undefined) return this.#ping.sentAtMs + PONG_TIMEOUT_MS
    return Math.min(
      Math.max(this.#lastReceiveMs, this.#lastPingMs) + IDLE_PING_INTERVAL_MS,
      this.#firstUnansweredSendMs + BUSY_PING_INTERVAL_MS,
    )
  }

  handleTimeout(nowMs: number, effects: RelayClientEffect[]): void {
    const state = this.#state
    if (state.kind === 'session') {
      for (const due of this.#retries.takeDue(nowMs)) this.#write(state.outbound, due, { nowMs, effects })
    }
    if (nowMs < this.#livenessDeadlineMs()) return
    if (state.kind === 'session' && state.isReady && this.#ping === undefined) this.#sendPing(nowMs, effects)
    else this.#fail('silent', effects)
  }

  /** Asks at once whether the connection is still alive. */
  probe(nowMs: number, effects: RelayClientEffect[]): void {
    if (this.#state.kind === 'session' && this.#state.isReady && this.#ping === undefined) {
      this.#sendPing(nowMs, effects)
    }
  }

  // --- frames of the relay ---------------------------------------------------------------------

  #handleFrame(raw: RawFrame, nowMs: number, effects: RelayClientEffect[]): void {
    const state = this.#state
    if (state.kind === 'hello') this.#handleAnswer(state.initiator, raw, effects)
    if (state.kind !== 'session') return
    const outcome = this.#inbox.read(raw, state.noise, nowMs)
    if (outcome.kind === 'failed') this.#fail(outcome.reason, effects)
    else if (outcome.kind === 'messages') {
      state.outbound.handleHeard(outcome.identity)
      effects.push(outcome)
    } else if (outcome.kind === 'frame') this.#handleSessionFrame(outcome.frame, state, { nowMs, effects })
  }

  #handleAnswer(initiator: NoiseInitiator, raw: RawFrame, effects: RelayClientEffect[]): void {
    const noise = raw.type === FRAME.answer ? initiator.finish(bodyOf(raw)) : undefined
    if (noise === undefined) {
      this.#fail('wrongRelay', effects)
      return
    }
    const outbound = new RelayOutbound(noise, this.#options.random)
    this.#state = { kind: 'session', noise, outbound, isProven: false, isReady: false }
    effects.push({ kind: 'usable' })
  }

  #handleSessionFrame(
    frame: SessionFrame,
    state: Extract<State, { kind: 'session' }>,
    { nowMs, effects }: Turn,
  ): void {
    switch (frame.kind) {
      case 'welcome':
        if (state.isReady) break
        state.isReady = true
        effects.push({ kind: 'welcome', megabits: frame.megabits })
        if (frame.observed !== undefined) effects.push({ kind: 'observed', endpoint: frame.observed })
        this.#sendPing(nowMs, effects)
        return
      case 'refused':
        this.#fail(frame.reason, effects)
        return
      case 'closed': {
        if (!state.outbound.wasOpen(frame.number)) break
        const identity = state.outbound.handleClosed(frame.number, frame.reason, nowMs)
        if (identity === undefined) return
        this.#retries.handleRefused(identity, nowMs)
        effects.push({ kind: 'peerGone', identity })
        return
      }
      case 'pong':
        if (this.#ping === undefined || !equalBytes(frame.payload, this.#ping.payload)) break
        effects.push({ kind: 'rtt', ms: nowMs - this.#ping.sentAtMs })
        this.#ping = undefined
        return
      case 'limited':
        if (nowMs - this.#limitedAtMs < LIMITED_INTERVAL_MS) break
        this.#limitedAtMs = nowMs
        this.overLimit = frame.dropped
        effects.push({ kind: 'limited', dropped: frame.dropped })
        return
      default:
        break
    }
    if (this.#inbox.isTooStrange(nowMs)) this.#fail('misbehaving', effects)
  }

  #write(outbound: RelayOutbound, messages: RelayMessages, { nowMs, effects }: Turn): number {
    this.#firstUnansweredSendMs = Math.min(this.#firstUnansweredSendMs, nowMs)
    if (this.#isBlocked) return outbound.push(messages)
    return outbound.write(messages, nowMs, (bytes) => effects.push({ kind: 'write', bytes }))
  }

  #sendPing(nowMs: number, effects: RelayClientEffect[]): void {
    this.#ping = { payload: this.#options.random(PING_BYTES), sentAtMs: nowMs }
    this.#lastPingMs = nowMs
    this.#firstUnansweredSendMs = Number.POSITIVE_INFINITY
    this.#say({ kind: 'ping', payload: this.#ping.payload }, effects)
  }

  #say(frame: SessionFrame, effects: RelayClientEffect[]): void {
    if (this.#state.kind !== 'session') return
    const sealed = this.#state.noise.seal(encodeSessionFrame(frame))
    effects.push({ kind: 'write', bytes: encodeFrame(FRAME.sealed, sealed) })
  }

  #fail(reason: RelayFailure, effects: RelayClientEffect[]): void {
    if (this.#state.kind === 'failed') return
    if (this.#state.kind === 'session') this.#state.noise.wipe()
    this.#state = { kind: 'failed' }
    effects.push({ kind: 'failed', reason })
  }
}
