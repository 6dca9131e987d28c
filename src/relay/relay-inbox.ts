/**
 * What a node takes from a relay. A relay that lies must not make a node work, call or allocate without end:
 * senders are a bounded table, handshakes and probes have a budget, a frame that no relay sends is counted,
 * and too many of them end the connection.
 *
 * Numbers and sizes in the clear may be changed by whoever is on the way: what they can do is to have transport data
 * dropped here or by the engine.
 */

import { formatBase64 } from '../base/bytes.js'
import { TokenBucket } from '../base/token-bucket.js'
import type { NoiseSession } from '../control/noise-nk.js'
import { bodyOf, decodeTrain, FRAME, type RawFrame } from './frames.js'
import {
  decodeSessionFrame,
  isControlMessage,
  MAX_SESSION_FRAME_BYTES,
  type SessionFrame,
} from './session-frames.js'

/** As many as a relay may name, forwarder.ts. */
const MAX_SENDERS = 1024
/** Handshakes and probes: a start with thousands of peers, and a multiple of what follows. */
const CONTROL_LIMIT = { tokensPerS: 500, burst: 4096 }
/** To be opened, whatever is in them: names and endings of senders, and what is above. */
const SEALED_LIMIT = { tokensPerS: 2000, burst: 8192 }
/** Frames that no relay of this version sends: a newer one may, now and then. */
const STRANGE_LIMIT = { tokensPerS: 5, burst: 100 }

/** Frames that were not taken. */
export interface RelayInboxCounters {
  /** With a number that was not named, or is not any more. */
  unknownNumber: number
  /** Neither transport data nor a handshake or a probe. */
  junk: number
  /** Handshakes and probes beyond what one relay may bring. */
  controlLimited: number
  /** Sealed frames beyond what one relay may bring. */
  sealedLimited: number
  /** What no relay says, or not then. */
  strange: number
}

export type RelayInput =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'frame'; readonly frame: SessionFrame }
  /** `identity`: base64. borrowed: the frame. */
  | {
      readonly kind: 'messages'
      readonly identity: string
      readonly segmentBytes: number
      readonly messages: Uint8Array
    }
  | { readonly kind: 'failed'; readonly reason: 'forged' | 'misbehaving' }

interface Sender {
  readonly identity: string
  usedAtMs: number
}

export class RelayInbox {
  readonly counters: RelayInboxCounters = {
    unknownNumber: 0,
    junk: 0,
    controlLimited: 0,
    sealedLimited: 0,
    strange: 0,
  }
  readonly #senders = new Map<number, Sender>()
  #highest = -1
  #sealed: TokenBucket | undefined
  #control: TokenBucket | undefined
  #strange: TokenBucket | undefined

  /** One frame of the session. */
  read(raw: RawFrame, noise: NoiseSession, nowMs: number): RelayInput {
    if (raw.type === FRAME.data || raw.type === FRAME.batch) return this.#readTrain(raw, nowMs)
    if (raw.type !== FRAME.sealed) return this.#strangeness(nowMs)
    const sealed = bodyOf(raw)
    if (sealed.length > MAX_SESSION_FRAME_BYTES) return { kind: 'failed', reason: 'misbehaving' }
    this.#sealed ??= new TokenBucket(SEALED_LIMIT, nowMs)
    if (!this.#sealed.tryTake(1, nowMs)) {
      this.counters.sealedLimited += 1
      noise.skip()
      return NOTHING
    }
    const plain = noise.open(sealed)
    if (plain === undefined) return { kind: 'failed', reason: 'forged' }
    const frame = decodeSessionFrame(plain)
    if (frame === undefined) return this.#strangeness(nowMs)
    switch (frame.kind) {
      case 'peer':
        return this.#name(frame.number, frame.identity, nowMs)
      case 'released':
        return this.#senders.delete(frame.number) ? NOTHING : this.#strangeness(nowMs)
      case 'message':
        return this.#readMessage(frame.number, frame.message, nowMs)
      default:
        return { kind: 'frame', frame }
    }
  }

  /** Counts a frame that no relay sends, or not then; true if these are too many. */
  isTooStrange(nowMs: number): boolean {
    this.counters.strange += 1
    this.#strange ??= new TokenBucket(STRANGE_LIMIT, nowMs)
    return !this.#strange.tryTake(1, nowMs)
  }

  #readTrain(raw: RawFrame, nowMs: number): RelayInput {
    const train = decodeTrain(raw)
    if (train === undefined) {
      this.counters.junk += 1
      return NOTHING
    }
    const identity = this.#senderOf(train.number, nowMs)
    if (identity === undefined) return NOTHING
    return { kind: 'messages', identity, segmentBytes: train.segmentBytes, messages: train.messages }
  }

  #readMessage(number: number, message: Uint8Array, nowMs: number): RelayInput {
    if (!isControlMessage(message)) {
      this.counters.junk += 1
      return NOTHING
    }
    const identity = this.#senderOf(number, nowMs)
    if (identity === undefined) return NOTHING
    this.#control ??= new TokenBucket(CONTROL_LIMIT, nowMs)
    if (!this.#control.tryTake(1, nowMs)) {
      this.counters.controlLimited += 1
      return NOTHING
    }
    return { kind: 'messages', identity, segmentBytes: message.length, messages: message }
  }

  #name(number: number, identity: Uint8Array, nowMs: number): RelayInput {
    if (number <= this.#highest) return this.#strangeness(nowMs)
    this.#highest = number
    if (this.#senders.size >= MAX_SENDERS) {
      this.#forgetIdlest()
      if (this.isTooStrange(nowMs)) return { kind: 'failed', reason: 'misbehaving' }
    }
    this.#senders.set(number, { identity: formatBase64(identity), usedAtMs: nowMs })
    return NOTHING
  }

  #senderOf(number: number, nowMs: number): string | undefined {
    const sender = this.#senders.get(number)
    if (sender === undefined) this.counters.unknownNumber += 1
    else sender.usedAtMs = nowMs
    return sender?.identity
  }

  #forgetIdlest(): void {
    let idlest: [number, Sender] | undefined
    for (const entry of this.#senders)
      if (idlest === undefined || entry[1].usedAtMs < idlest[1].usedAtMs) idlest = entry
    if (idlest !== undefined) this.#senders.delete(idlest[0])
  }

  #strangeness(nowMs: number): RelayInput {
    return this.isTooStrange(nowMs) ? { kind: 'failed', reason: 'misbehaving' } : NOTHING
  }
}

const NOTHING: RelayInput = { kind: 'nothing' }
