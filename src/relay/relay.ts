/**
 * A relay: admits clients, then forwards between them (forwarder.ts). Sans-IO; connections are its caller's.
 *
 * Whoever connects says who it is, signs a challenge, and shows a ticket unless the relay takes anybody or
 * has a list. Until then a connection costs one small entry, has a few seconds, and gives way to newer ones
 * when there are too many, those of the busiest source first: a flood keeps out itself, and never clients.
 */

import { formatBase64 } from '../base/bytes.js'
import { ShareTable } from '../base/share-table.js'
import { TokenBucket } from '../base/token-bucket.js'
import { type Identity, isSignedBy } from '../control/identity.js'
import type { Endpoint } from '../net/endpoint.js'
import { type SourceKey, sourceOf } from '../net/source.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import type { RelayDirectory } from './directory.js'
import { type ClientId, Forwarder, type RelayCounters, type RelayEffect } from './forwarder.js'
import {
  CHALLENGE_BYTES,
  decodeFrame,
  encodeChallenge,
  encodeObserved,
  encodeRefused,
  encodeStatus,
  encodeWelcome,
  type RawFrame,
  RELAY_PROOF_LABEL,
  type RelayRefusal,
} from './frames.js'

const ADMISSION_TIMEOUT_MS = 5000
const MAX_CANDIDATES = 1024
const MAX_CLIENTS = 60_000
/** How often a client is told that it sends too much. */
const STATUS_INTERVAL_MS = 1000

export interface RelayOptions {
  /** The relay's own. */
  readonly identity: Identity
  readonly random: RandomBytes
  readonly directory: RelayDirectory
  /** Bytes a second that one client may send; Infinity for no limit. */
  readonly maxBytesPerS: number
}

interface Candidate {
  readonly id: ClientId
  readonly remote: Endpoint
  readonly deadlineMs: number
  claim: { readonly identity: Uint8Array; readonly random: Uint8Array } | undefined
}

/** What a client may send: a second's bytes at once. */
interface Allowance {
  readonly bytes: TokenBucket
  /** When it was last told that it sends too much. */
  toldAtMs: number
}

export interface RelayTotals extends RelayCounters {
  readonly refused: number
  /** Did not finish in time, or gave way. */
  readonly abandoned: number
  readonly rateLimited: number
  readonly bytes: number
}

export class Relay {
  readonly #options: RelayOptions
  readonly #forwarder = new Forwarder()
  readonly #candidates = new Map<ClientId, Candidate>()
  readonly #shares = new ShareTable<SourceKey, ClientId>(MAX_CANDIDATES)
  readonly #allowances = new Map<ClientId, Allowance>()
  readonly #identities = new Map<ClientId, string>()
  #refused = 0
  #abandoned = 0
  #rateLimited = 0
  #bytes = 0

  constructor(options: RelayOptions) {
    this.#options = options
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
    this.#candidates.set(id, { id, remote, deadlineMs: nowMs + ADMISSION_TIMEOUT_MS, claim: undefined })
    const givesWay = this.#shares.add(sourceOf(remote.address), id)
    if (givesWay !== undefined) this.#abandon(givesWay, effects)
  }

  handleTimeout(nowMs: number, effects: RelayEffect[]): void {
    for (const { id, deadlineMs } of this.#candidates.values()) {
      if (deadlineMs > nowMs) return
      this.#abandon(id, effects)
    }
  }

  handleClosed(id: ClientId): void {
    this.#dropCandidate(id)
    this.#allowances.delete(id)
    this.#identities.delete(id)
    this.#forwarder.remove(id)
  }

  handleBlocked(id: ClientId): void {
    this.#forwarder.handleBlocked(id)
  }

  handleDrained(id: ClientId, isBlockedAfter: (bytes: Uint8Array) => boolean): void {
    this.#forwarder.handleDrained(id, isBlockedAfter)
  }

  /** `frame` is changed in place. */
  handleFrame(id: ClientId, frame: RawFrame, nowMs: number, effects: RelayEffect[]): void {
    const candidate = this.#candidates.get(id)
    if (candidate !== undefined) {
      this.#handleClaim(candidate, frame, effects)
      return
    }
    this.#bytes += frame.bytes.length
    if (this.#isWithinRate(id, frame.bytes.length, nowMs, effects)) {
      this.#forwarder.handleFrame(id, frame, effects)
    }
  }

  /**
   * The directory says something else than before. `revoked`: identities (base64) that are no longer
   * welcome; their connections are let go.
   */
  handleDirectoryChange(revoked: ReadonlySet<string>, effects: RelayEffect[]): void {
    for (const [id, identity] of this.#identities)
      if (revoked.has(identity)) effects.push({ kind: 'close', client: id })
  }

  #handleClaim(candidate: Candidate, raw: RawFrame, effects: RelayEffect[]): void {
    const { id, claim, remote } = candidate
    const { identity: own, random: randomBytes, directory } = this.#options
    const frame = decodeFrame(raw)
    if (frame?.kind === 'hello' && claim === undefined) {
      const random = randomBytes(CHALLENGE_BYTES)
      candidate.claim = { identity: frame.identity.slice(), random }
      effects.push({ kind: 'write', client: id, bytes: encodeChallenge(random, own.publicKey) })
      return
    }
    if (frame?.kind !== 'proof' || claim === undefined) {
      this.#refuse(id, 'proof', effects)
      return
    }
    const { identity, random } = claim
    const isProven = isSignedBy(identity, frame.signature, RELAY_PROOF_LABEL, random, own.publicKey)
    if (!isProven) this.#refuse(id, 'proof', effects)
    else if (!directory.mayEnter(identity, frame.ticket)) this.#refuse(id, 'ticket', effects)
    else if (this.clientCount >= MAX_CLIENTS) this.#refuse(id, 'full', effects)
    else {
      this.#dropCandidate(id)
      this.#identities.set(id, formatBase64(identity))
      this.#forwarder.add(id, identity, effects)
      effects.push({ kind: 'write', client: id, bytes: encodeWelcome() })
      effects.push({ kind: 'write', client: id, bytes: encodeObserved(remote) })
    }
  }

  #refuse(id: ClientId, reason: RelayRefusal, effects: RelayEffect[]): void {
    this.#refused += 1
    this.#dropCandidate(id)
    effects.push({ kind: 'write', client: id, bytes: encodeRefused(reason) }, { kind: 'close', client: id })
  }

  #abandon(id: ClientId, effects: RelayEffect[]): void {
    this.#abandoned += 1
    this.#dropCandidate(id)
    effects.push({ kind: 'close', client: id })
  }

  #dropCandidate(id: ClientId): void {
    this.#candidates.delete(id)
    this.#shares.delete(id)
  }

  #isWithinRate(id: ClientId, bytes: number, nowMs: number, effects: RelayEffect[]): boolean {
    if (this.#options.maxBytesPerS === Number.POSITIVE_INFINITY) return true
    const allowance = this.#allowances.get(id) ?? this.#allow(id, nowMs)
    if (allowance.bytes.tryTake(bytes, nowMs)) return true
    this.#rateLimited += 1
    if (nowMs - allowance.toldAtMs >= STATUS_INTERVAL_MS) {
      allowance.toldAtMs = nowMs
      const delayMs = Math.ceil(allowance.bytes.waitMs(bytes))
      effects.push({ kind: 'write', client: id, bytes: encodeStatus('rateLimited', delayMs) })
    }
    return false
  }

  #allow(id: ClientId, nowMs: number): Allowance {
    const { maxBytesPerS } = this.#options
    const bytes = new TokenBucket({ tokensPerS: maxBytesPerS, burst: maxBytesPerS }, nowMs)
    const allowance: Allowance = { bytes, toldAtMs: Number.NEGATIVE_INFINITY }
    this.#allowances.set(id, allowance)
    return allowance
  }
}
