/**
 * One end of a connection to a relay, at the node. Sans-IO: bytes and a time go in, effects and a deadline
 * come out; the connection under it is its caller's.
 *
 * Messages may be sent as soon as the proof is out: what is refused is lost, which a tunnel bears, and a
 * round trip is saved.
 *
 * A connection is dead when a ping is not answered in time. Pings go seldom while nothing happens, and at
 * once when something was sent and nothing has come since.
 */

import { equalBytes } from '../base/bytes.js'
import type { Identity } from '../control/identity.js'
import type { Endpoint } from '../net/endpoint.js'
import { FrameReader } from './frame-reader.js'
import {
  decodeFrame,
  encodeHello,
  encodePing,
  encodePong,
  encodeProof,
  frameInPlace,
  type RawFrame,
  RELAY_PROOF_LABEL,
  type RelayRefusal,
} from './frames.js'

/** From the connection to the welcome. */
const ADMISSION_TIMEOUT_MS = 5000
const IDLE_PING_INTERVAL_MS = 15_000
const BUSY_PING_INTERVAL_MS = 1000
const PONG_TIMEOUT_MS = 1500

export type RelayClientEffect =
  | { readonly kind: 'write'; readonly bytes: Uint8Array }
  /** Messages may be sent from now on. */
  | { readonly kind: 'usable' }
  | { readonly kind: 'welcome' }
  /** borrowed: valid until the next bytes come. */
  | {
      readonly kind: 'messages'
      readonly identity: Uint8Array
      readonly segmentBytes: number
      readonly messages: Uint8Array
    }
  | { readonly kind: 'peerGone'; readonly identity: Uint8Array }
  /** Once: all peers are told of it, and a relay is not to make a node talk for ever. */
  | { readonly kind: 'observed'; readonly endpoint: Endpoint }
  | { readonly kind: 'rtt'; readonly ms: number }
  | { readonly kind: 'rateLimited'; readonly delayMs: number }
  /** The caller closes the connection. */
  | { readonly kind: 'failed'; readonly reason: RelayRefusal | 'wrongRelay' | 'silent' }

export interface RelayClientOptions {
  readonly identity: Identity
  /** The relay's: it must answer with this key. */
  readonly relayKey: Uint8Array
  readonly ticket: Uint8Array
}

type State = 'hello' | 'proof' | 'ready' | 'failed'

export class RelayClient {
  readonly #options: RelayClientOptions
  readonly #reader = new FrameReader()
  #state: State = 'hello'
  #startedMs = 0
  #lastReceiveMs = 0
  #firstUnansweredSendMs = Number.POSITIVE_INFINITY
  #pingSentMs = Number.POSITIVE_INFINITY
  #lastPingMs = 0
  #isObserved = false

  constructor(options: RelayClientOptions) {
    this.#options = options
  }

  /** Whether messages may be sent. */
  get isUsable(): boolean {
    return this.#state === 'proof' || this.#state === 'ready'
  }

  /** The connection is there. */
  start(nowMs: number, effects: RelayClientEffect[]): void {
    this.#startedMs = nowMs
    this.#lastReceiveMs = nowMs
    this.#lastPingMs = nowMs
    effects.push({ kind: 'write', bytes: encodeHello(this.#options.identity.publicKey) })
  }

  handleBytes(chunk: Uint8Array, nowMs: number, effects: RelayClientEffect[]): void {
    this.#lastReceiveMs = nowMs
    this.#firstUnansweredSendMs = Number.POSITIVE_INFINITY
    this.#reader.push(chunk, (frame) => this.#handleFrame(frame, nowMs, effects))
  }

  /** `frame`: see frameInPlace. Gives what is to be written; undefined if nothing may be sent now. */
  encode(
    frame: Uint8Array,
    headroom: number,
    to: { readonly identity: Uint8Array; readonly segmentBytes: number },
    nowMs: number,
  ): Uint8Array | undefined {
    if (!this.isUsable) return undefined
    this.#firstUnansweredSendMs = Math.min(this.#firstUnansweredSendMs, nowMs)
    return frameInPlace(frame, headroom, to.identity, to.segmentBytes)
  }

  nextDeadlineMs(): number {
    if (this.#state === 'failed') return Number.POSITIVE_INFINITY
    if (this.#state !== 'ready') return this.#startedMs + ADMISSION_TIMEOUT_MS
    if (this.#pingSentMs !== Number.POSITIVE_INFINITY) return this.#pingSentMs + PONG_TIMEOUT_MS
    return Math.min(
      Math.max(this.#lastReceiveMs, this.#lastPingMs) + IDLE_PING_INTERVAL_MS,
      this.#firstUnansweredSendMs + BUSY_PING_INTERVAL_MS,
    )
  }

  handleTimeout(nowMs: number, effects: RelayClientEffect[]): void {
    if (nowMs < this.nextDeadlineMs()) return
    if (this.#state !== 'ready' || this.#pingSentMs !== Number.POSITIVE_INFINITY) {
      this.#fail('silent', effects)
      return
    }
    this.#ping(nowMs, effects)
  }

  /** Asks at once whether the connection is still alive. */
  probe(nowMs: number, effects: RelayClientEffect[]): void {
    if (this.#state === 'ready' && this.#pingSentMs === Number.POSITIVE_INFINITY) this.#ping(nowMs, effects)
  }

  #ping(nowMs: number, effects: RelayClientEffect[]): void {
    this.#pingSentMs = nowMs
    this.#lastPingMs = nowMs
    this.#firstUnansweredSendMs = Number.POSITIVE_INFINITY
    effects.push({ kind: 'write', bytes: encodePing(new Uint8Array(8)) })
  }

  #handleFrame(raw: RawFrame, nowMs: number, effects: RelayClientEffect[]): void {
    const frame = decodeFrame(raw)
    if (frame === undefined || this.#state === 'failed') return
    switch (frame.kind) {
      case 'challenge':
        this.#handleChallenge(frame, effects)
        break
      case 'welcome':
        if (this.#state !== 'proof') break
        this.#state = 'ready'
        effects.push({ kind: 'welcome' })
        this.#ping(nowMs, effects)
        break
      case 'refused':
        this.#fail(frame.reason, effects)
        break
      case 'messages':
        effects.push(frame)
        break
      case 'peerGone':
        effects.push({ kind: 'peerGone', identity: frame.identity.slice() })
        break
      case 'observed':
        if (!this.#isObserved) effects.push({ kind: 'observed', endpoint: frame.endpoint })
        this.#isObserved = true
        break
      case 'ping':
        effects.push({ kind: 'write', bytes: encodePong(frame.payload) })
        break
      case 'pong':
        if (this.#pingSentMs !== Number.POSITIVE_INFINITY) {
          effects.push({ kind: 'rtt', ms: nowMs - this.#pingSentMs })
        }
        this.#pingSentMs = Number.POSITIVE_INFINITY
        break
      case 'status':
        if (frame.state === 'rateLimited') effects.push({ kind: 'rateLimited', delayMs: frame.delayMs })
        break
      case 'hello':
      case 'proof':
      case 'direct':
        break
    }
  }

  #handleChallenge(
    challenge: { readonly random: Uint8Array; readonly relayKey: Uint8Array },
    effects: RelayClientEffect[],
  ): void {
    const { identity, relayKey, ticket } = this.#options
    if (this.#state !== 'hello') return
    if (!equalBytes(challenge.relayKey, relayKey)) {
      this.#fail('wrongRelay', effects)
      return
    }
    this.#state = 'proof'
    const signature = identity.sign(RELAY_PROOF_LABEL, challenge.random, relayKey)
    effects.push({ kind: 'write', bytes: encodeProof(signature, ticket) }, { kind: 'usable' })
  }

  #fail(
    reason: Extract<RelayClientEffect, { kind: 'failed' }>['reason'],
    effects: RelayClientEffect[],
  ): void {
    this.#state = 'failed'
    effects.push({ kind: 'failed', reason })
  }
}
