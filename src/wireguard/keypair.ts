/**
 * Transport keys of one handshake, and the three of them a peer may have (paper sections 5.4.6, 6).
 *
 * `Keypair` holds the AEADs of both directions, the send counter, the replay window, and knows its own
 * limits. `KeypairRotation` keeps previous, current and next:
 *
 *   install, as initiator   next? previous = next, current falls out : previous = current; current = new
 *   install, as responder   next = new; the old next and previous fall out
 *   confirm                 previous = current, current = next: the initiator has proven its keys
 *
 * INVARIANT: a keypair that falls out is wiped before it is returned, and is in no place any more.
 */

import { wipe } from '../base/bytes.js'
import {
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_TIME_MS,
  REKEY_AFTER_MESSAGES,
  REKEY_AFTER_TIME_MS,
  REKEY_ON_RECEIVE_MS,
} from './constants.js'
import type { Aead, Crypto } from './crypto.js'
import type { KeypairMaterial } from './keypair-material.js'
import { ReplayWindow } from './replay-window.js'

const REKEY_HIGH = Number(REKEY_AFTER_MESSAGES >> 32n)
const REKEY_LOW = Number(REKEY_AFTER_MESSAGES & 0xffff_ffffn)
const REJECT_HIGH = Number(REJECT_AFTER_MESSAGES >> 32n)
const REJECT_LOW = Number(REJECT_AFTER_MESSAGES & 0xffff_ffffn)

/** Whether a message may not carry this counter. */
export function isCounterRejected(high: number, low: number): boolean {
  return high > REJECT_HIGH || (high === REJECT_HIGH && low >= REJECT_LOW)
}

export class Keypair {
  readonly localIndex: number
  readonly remoteIndex: number
  readonly isInitiator: boolean
  readonly createdAtMs: number
  readonly sender: Aead
  readonly receiver: Aead
  readonly replayWindow: ReplayWindow = new ReplayWindow()
  readonly #material: KeypairMaterial
  /** Counter of the next message, in unsigned halves. */
  #sendHigh: number
  #sendLow: number

  /** `material`: handed over. */
  constructor(crypto: Crypto, material: KeypairMaterial) {
    const first = material.firstCounter ?? 0n
    this.localIndex = material.localIndex
    this.remoteIndex = material.remoteIndex
    this.isInitiator = material.isInitiator
    this.createdAtMs = material.createdAtMs
    this.sender = crypto.aead(material.sendKey)
    this.receiver = crypto.aead(material.receiveKey)
    this.#material = material
    this.#sendHigh = Number(first >> 32n)
    this.#sendLow = Number(first & 0xffff_ffffn)
  }

  get sendHigh(): number {
    return this.#sendHigh
  }

  get sendLow(): number {
    return this.#sendLow
  }

  /** After the counter went into a message. */
  advanceCounter(): void {
    if (this.#sendLow < 0xffff_ffff) {
      this.#sendLow += 1
    } else {
      this.#sendLow = 0
      this.#sendHigh += 1
    }
  }

  /** Too old to send or to receive. */
  isExpired(nowMs: number): boolean {
    return nowMs - this.createdAtMs >= REJECT_AFTER_TIME_MS
  }

  canSend(nowMs: number): boolean {
    return !this.isExpired(nowMs) && !isCounterRejected(this.#sendHigh, this.#sendLow)
  }

  /** Ask after a message was sent: the counter, or an initiator's age, calls for a new handshake. */
  isRenewalDueOnSend(nowMs: number): boolean {
    if (this.isInitiator && nowMs - this.createdAtMs >= REKEY_AFTER_TIME_MS) return true
    return this.#sendHigh > REKEY_HIGH || (this.#sendHigh === REKEY_HIGH && this.#sendLow > REKEY_LOW)
  }

  /** Ask after a message was received: an answer under this keypair might come too late for it. */
  isRenewalDueOnReceive(nowMs: number): boolean {
    return this.isInitiator && nowMs - this.createdAtMs >= REKEY_ON_RECEIVE_MS
  }

  wipe(): void {
    this.sender.wipe()
    this.receiver.wipe()
    wipe(this.#material.sendKey, this.#material.receiveKey)
  }
}

export class KeypairRotation {
  #previous: Keypair | undefined
  #current: Keypair | undefined
  #next: Keypair | undefined

  /** The one to send under; it may have expired. */
  get current(): Keypair | undefined {
    return this.#current
  }

  /** A responder's, unusable for sending until the initiator has used it. */
  get next(): Keypair | undefined {
    return this.#next
  }

  /** The one before `current`: messages under it may still be on their way. */
  get previous(): Keypair | undefined {
    return this.#previous
  }

  /** Gives what fell out, wiped. */
  install(keypair: Keypair): readonly Keypair[] {
    if (!keypair.isInitiator) return this.#keep(undefined, this.#current, keypair)
    const demoted = this.#next ?? this.#current
    return this.#keep(demoted, keypair, undefined)
  }

  /** After the first authentic message under `next`. Gives what fell out, wiped. */
  confirmNext(): readonly Keypair[] {
    return this.#keep(this.#current, this.#next, undefined)
  }

  /** Gives all there were, wiped. */
  clear(): readonly Keypair[] {
    return this.#keep(undefined, undefined, undefined)
  }

  #keep(
    previous: Keypair | undefined,
    current: Keypair | undefined,
    next: Keypair | undefined,
  ): readonly Keypair[] {
    const before = [this.#previous, this.#current, this.#next]
    this.#previous = previous
    this.#current = current
    this.#next = next
    const removed: Keypair[] = []
    for (const keypair of before) {
      if (keypair === undefined || keypair === previous || keypair === current || keypair === next) continue
      keypair.wipe()
      removed.push(keypair)
    }
    return removed
  }
}
