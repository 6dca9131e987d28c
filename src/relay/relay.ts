/**
 * A relay: admits clients, then forwards between them (forwarder.ts). Sans-IO; connections are its caller's.
 *
 * The relay proves its pinned key in a Noise handshake (noise-nk.ts), and the client signs the hash of that
 * handshake and shows a ticket: a proof made for one session is worth nothing in another, and who listens
 * learns no identity. Until then a connection costs one small entry, has a few seconds, and gives way to
 * newer ones when there are too many, those of the busiest source first: a flood keeps out itself, and never
 * clients.
 */

import { ShareTable } from '../base/share-table.js'
import { TokenBucket } from '../base/token-bucket.js'
import { isSignedBy } from '../control/identity.js'
import { type NoiseSession, respondNoise } from '../control/noise-nk.js'
import type { Endpoint } from '../net/endpoint.js'
import { type SourceKey, sourceOf } from '../net/source.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../wireguard/crypto.js'
import type { RelayDirectory } from './directory.js'
import { Forwarder, type ForwarderCounters } from './forwarder.js'
import { bodyOf, encodeFrame, FRAME, type RawFrame } from './frames.js'
import { type ClientId, type RelayEffect, RelaySession } from './relay-session.js'
import {
  decodeSessionFrame,
  encodeSessionFrame,
  MAX_SESSION_FRAME_BYTES,
  RELAY_PROOF_LABEL,
  type RelayRefusal,
} from './session-frames.js'

const ADMISSION_TIMEOUT_MS = 5000
const MAX_CANDIDATES = 1024
const MAX_CLIENTS = 60_000
/** How often a client is told that it sends too much. */
const LIMITED_INTERVAL_MS = 1000
const BITS_PER_MEGABIT = 1e6
const FIRST_NUMBER_MASK = 0x7fff_ffff

export interface RelayOptions {
  /** The relay's own: clients know its public half. */
  readonly key: DhPrivateKey
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly directory: RelayDirectory
  /** Bytes a second that one client may send; Infinity for no limit. */
  readonly maxBytesPerS: number
}

interface Candidate {
  readonly id: ClientId
  readonly remote: Endpoint
  readonly deadlineMs: number
  /** Since the hello. */
  noise: NoiseSession | undefined
}

/** What a client may send: a second's bytes at once. */
interface Allowance {
  readonly bytes: TokenBucket
  dropped: number
  /** When it was last told that it sends too much. */
  toldAtMs: number
}

export interface RelayTotals extends ForwarderCounters {
  readonly refused: number
  /** Did not finish in time, or gave way. */
  readonly abandoned: number
  readonly rateLimited: number
  readonly bytes: number
}

export class Relay {
  readonly #options: RelayOptions
  readonly #forwarder: Forwarder
  readonly #candidates = new Map<ClientId, Candidate>()
  readonly #shares = new ShareTable<SourceKey, ClientId>(MAX_CANDIDATES)
  readonly #allowances = new Map<ClientId, Allowance>()
  #refused = 0
  #abandoned = 0
  #rateLimited = 0
  #bytes = 0

  constructor(options: RelayOptions) {
    this.#options = options
    this.#forwarder = new Forwarder(options.directory)
  }

  get clientCount(): number {
    return this.#forwarder.clientCount
  }

  totals(): RelayTotals {
    return {
      ...this.#forwarder.counters,
      refused: this.#refused,
      abandoned: this.#abandoned,
      rateLimited: this.#rateLimited,
      bytes: this.#bytes,
    }
  }

  /** Of the oldest connection that is not admitted; Infinity if there is none. */
  nextDeadlineMs(): number {
    const [oldest] = this.#candidates.values()
    return oldest?.deadlineMs ?? Number.POSITIVE_INFINITY
  }

  handleConnected(id: ClientId, remote: Endpoint, nowMs: number, effects: RelayEffect[]): void {
    this.#candidates.set(id, { id, remote, deadlineMs: nowMs + ADMISSION_TIMEOUT_MS, noise: undefined })
    const givesWay = this.#shares.add(sourceOf(remote.address), id)
    if (givesWay !== undefined) this.#abandon(givesWay, effects)
  }

  handleTimeout(nowMs: number, effects: RelayEffect[]): void {
    for (const { id, deadlineMs } of this.#candidates.values()) {
      if (deadlineMs > nowMs) return
      this.#abandon(id, effects)
    }
  }

  handleClosed(id: ClientId, effects: RelayEffect[]): void {
    this.#forget(id)
    this.#allowances.delete(id)
    this.#forwarder.remove(id, effects)
  }

  handleBlocked(id: ClientId): void {
    this.#forwarder.handleBlocked(id)
  }

  handleDrained(id: ClientId, isBlockedAfter: (bytes: Uint8Array) => boolean): void {
    this.#forwarder.handleDrained(id, isBlockedAfter)
  }

  /**
   * The directory says something else than before. `revoked`: identities (base64) that are no longer
   * welcome; their connections are let go. Numbers of two that may not know each other any more are closed.
   */
  handleDirectoryChange(revoked: ReadonlySet<string>, effects: RelayEffect[]): void {
    this.#forwarder.handleDirectoryChange(revoked, effects)
  }

  /** How long a frame of this connection may be. */
  maxBodyBytes(id: ClientId): number {
    return this.#forwarder.has(id) ? Number.POSITIVE_INFINITY : MAX_SESSION_FRAME_BYTES
  }

  /** `frame` is changed in place. */
  handleFrame(id: ClientId, frame: RawFrame, nowMs: number, effects: RelayEffect[]): void {
    const candidate = this.#candidates.get(id)
    if (candidate !== undefined) {
      this.#handleClaim(candidate, frame, nowMs, effects)
      return
    }
    this.#bytes += frame.bytes.length
    if (this.#isWithinRate(id, frame.bytes.length, nowMs, effects)) {
      this.#forwarder.handleFrame(id, frame, nowMs, effects)
    } else this.#forwarder.skipFrame(id, frame)
  }

  // --- admission -------------------------------------------------------------------------------

  #handleClaim(candidate: Candidate, raw: RawFrame, nowMs: number, effects: RelayEffect[]): void {
    const { id, noise } = candidate
    const { key, crypto, random } = this.#options
    if (noise === undefined) {
      const kind = { crypto, random, prologue: 'overlay relay v1' } as const
      const response = raw.type === FRAME.hello ? respondNoise(kind, key, bodyOf(raw)) : undefined
      if (response === undefined) {
        this.#drop(candidate, effects)
        return
      }
      candidate.noise = response.session
      effects.push({ kind: 'write', client: id, bytes: encodeFrame(FRAME.answer, response.answer) })
      return
    }
    const plain = raw.type === FRAME.sealed ? noise.open(bodyOf(raw)) : undefined
    const proof = plain && decodeSessionFrame(plain)
    if (proof?.kind !== 'proof') {
      this.#drop(candidate, effects)
      return
    }
    const refusal = this.#refusalOf(proof, noise.handshakeHash)
    if (refusal === undefined) this.#admit(candidate, noise, proof.identity.slice(), { nowMs, effects })
    else {
      const bytes = noise.seal(encodeSessionFrame({ kind: 'refused', reason: refusal }))
      effects.push({ kind: 'write', client: id, bytes: encodeFrame(FRAME.sealed, bytes) })
      this.#drop(candidate, effects)
    }
  }

  #refusalOf(
    { identity, signature, ticket }: Record<'identity' | 'signature' | 'ticket', Uint8Array>,
    handshakeHash: Uint8Array,
  ): RelayRefusal | undefined {
    if (!isSignedBy(identity, signature, RELAY_PROOF_LABEL, handshakeHash)) return 'proof'
    if (!this.#options.directory.mayEnter(identity, ticket)) return 'ticket'
    return this.clientCount >= MAX_CLIENTS ? 'full' : undefined
  }

  #admit(
    { id, remote }: Candidate,
    noise: NoiseSession,
    identity: Uint8Array,
    { nowMs, effects }: { readonly nowMs: number; readonly effects: RelayEffect[] },
  ): void {
    const { random, maxBytesPerS } = this.#options
    const [a = 0, b = 0, c = 0, d = 0] = random(4)
    const firstNumber = ((a << 24) | (b << 16) | (c << 8) | d) & FIRST_NUMBER_MASK
    const { maxNumbers } = this.#forwarder
    this.#candidates.delete(id)
    this.#shares.delete(id)
    this.#forwarder.add(new RelaySession({ id, identity, noise, firstNumber, maxNumbers, nowMs }), effects)
    const megabits = (maxBytesPerS * 8) / BITS_PER_MEGABIT
    this.#forwarder.reply(id, { kind: 'welcome', megabits, observed: remote }, effects)
  }

  #drop({ id }: Candidate, effects: RelayEffect[]): void {
    this.#refused += 1
    this.#forget(id)
    effects.push({ kind: 'close', client: id })
  }

  #abandon(id: ClientId, effects: RelayEffect[]): void {
    this.#abandoned += 1
    this.#forget(id)
    effects.push({ kind: 'close', client: id })
  }

  /** A candidate that is none any more, and did not become a client. */
  #forget(id: ClientId): void {
    this.#candidates.get(id)?.noise?.wipe()
    this.#candidates.delete(id)
    this.#shares.delete(id)
  }

  // --- rate ------------------------------------------------------------------------------------

  #isWithinRate(id: ClientId, bytes: number, nowMs: number, effects: RelayEffect[]): boolean {
    const { maxBytesPerS } = this.#options
    if (maxBytesPerS === Number.POSITIVE_INFINITY || !this.#forwarder.has(id)) return true
    const allowance = this.#allowances.get(id) ?? this.#allow(id, nowMs)
    if (allowance.bytes.tryTake(bytes, nowMs)) return true
    this.#rateLimited += 1
    allowance.dropped += 1
    if (nowMs - allowance.toldAtMs >= LIMITED_INTERVAL_MS) {
      allowance.toldAtMs = nowMs
      this.#forwarder.reply(id, { kind: 'limited', dropped: allowance.dropped }, effects)
    }
    return false
  }

  #allow(id: ClientId, nowMs: number): Allowance {
    const { maxBytesPerS } = this.#options
    const bytes = new TokenBucket({ tokensPerS: maxBytesPerS, burst: maxBytesPerS }, nowMs)
    const allowance: Allowance = { bytes, dropped: 0, toldAtMs: Number.NEGATIVE_INFINITY }
    this.#allowances.set(id, allowance)
    return allowance
  }
}
