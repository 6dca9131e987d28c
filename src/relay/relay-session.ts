/**
 * The relay's end of one client's session: its numbers, and what is written to it in which order. Sans-IO.
 *
 * Messages are sealed, and senders named, at the moment of writing: what gives way in the queue leaves no gap
 * in the session's counters, and costs no number.
 */

import { formatBase64 } from '../base/bytes.js'
import { TokenBucket } from '../base/token-bucket.js'
import type { NoiseSession } from '../control/noise-nk.js'
import { encodeFrame, FRAME, setNumber } from './frames.js'
import { Outbox } from './outbox.js'
import { encodeSessionFrame, type RelayClosing, type SessionFrame } from './session-frames.js'

/** Names a connection; never used again. */
export type ClientId = number

export type RelayEffect =
  /** borrowed: valid until the input's bytes are used again. */
  | { readonly kind: 'write'; readonly client: ClientId; readonly bytes: Uint8Array }
  /** After what was written. */
  | { readonly kind: 'close'; readonly client: ClientId }

/** One sender's way to one recipient. */
export interface Channel {
  readonly from: RelaySession
  /** The recipient's. */
  readonly identity: string
  /** By which the sender means it; it opened this one last. */
  number: number
  /** By which `to` knows the sender; undefined until a message was written. */
  named: number | undefined
  /** The session that the recipient had last. */
  to: RelaySession
  usedAtMs: number
}

/** What goes to a recipient. `bytes`: a data or batch frame, or a message that is to be sealed. */
interface Forwarded {
  readonly channel: Channel
  readonly bytes: Uint8Array
  readonly isSealed: boolean
  readonly length: number
}

/** Sealed frames cost a multiple of others: enough to start with thousands of peers, and to go on with them. */
const SEALED_LIMIT = { tokensPerS: 500, burst: 8192 }
/** Bytes of handshakes and probes that go ahead of data; what is beyond them goes as data does. */
const CONTROL_LIMIT = { tokensPerS: 64 * 1024, burst: 512 * 1024 }
/** Each costs a signature to check; a hub gives one several times an hour, and at each new session with it. */
const TICKET_LIMIT = { tokensPerS: 1 / 60, burst: 8 }
/** Answers that a client does not read; it asked for all but one a number. */
const MAX_REPLY_BYTES = 256 * 1024
const REPLY_OVERHEAD_BYTES = 128
const LAST_NUMBER = 0xffff_ffff

export interface RelaySessionOptions {
  readonly id: ClientId
  /** Proven, 32 bytes. */
  readonly identity: Uint8Array
  readonly noise: NoiseSession
  /** Of the first sender that is named, less than 2^31. */
  readonly firstNumber: number
  /** That a session may have open, and as many that it is told. */
  readonly maxNumbers: () => number
  readonly nowMs: number
}

export class RelaySession {
  readonly id: ClientId
  readonly identityBytes: Uint8Array
  /** Base64. */
  readonly identity: string
  readonly noise: NoiseSession
  readonly sealedBudget: TokenBucket
  readonly controlBudget: TokenBucket
  readonly ticketBudget: TokenBucket
  /** By the number that the client opened. */
  readonly opened: Map<number, Channel> = new Map()
  /** The same, by recipient. */
  readonly openedTo: Map<string, Channel> = new Map()
  /** Senders, by the number that the client was told. */
  readonly named: Map<number, Channel> = new Map()
  /** Of the numbers that the client opened. */
  highestOpened = -1
  /** A frame was passed over that may have opened a number. */
  hasSkipped = false
  isGone = false
  readonly #maxNumbers: () => number
  readonly #outbox = new Outbox<Forwarded>()
  #replies: Uint8Array[] = []
  #replyBytes = 0
  #isWritable = true
  #nextNumber: number

  constructor({ id, identity, noise, firstNumber, maxNumbers, nowMs }: RelaySessionOptions) {
    this.id = id
    this.identityBytes = identity
    this.identity = formatBase64(identity)
    this.noise = noise
    this.#nextNumber = firstNumber
    this.#maxNumbers = maxNumbers
    this.sealedBudget = new TokenBucket(SEALED_LIMIT, nowMs)
    this.controlBudget = new TokenBucket(CONTROL_LIMIT, nowMs)
    this.ticketBudget = new TokenBucket(TICKET_LIMIT, nowMs)
  }

  // --- towards the client ----------------------------------------------------------------------

  /** What the relay itself says. A client that asks and does not read is let go. */
  reply(frame: SessionFrame, effects: RelayEffect[]): void {
    const plain = encodeSessionFrame(frame)
    if (this.#isWritable) {
      effects.push({ kind: 'write', client: this.id, bytes: this.#seal(plain) })
      return
    }
    this.#replies.push(plain)
    this.#replyBytes += plain.length + REPLY_OVERHEAD_BYTES
    if (this.#replyBytes > MAX_REPLY_BYTES) effects.push({ kind: 'close', client: this.id })
  }

  /** Returns the number of frames that gave way. `bytes`: see Forwarded; copied if it has to wait. */
  forward(
    channel: Channel,
    bytes: Uint8Array,
    kind: { readonly isSealed: boolean; readonly isControl: boolean },
    effects: RelayEffect[],
  ): number {
    const { isSealed, isControl } = kind
    if (!this.#isWritable) {
      const item = { channel, bytes: new Uint8Array(bytes), isSealed, length: bytes.length }
      return this.#outbox.push(item, isControl, channel.from.id)
    }
    const write = (out: Uint8Array): void => {
      effects.push({ kind: 'write', client: this.id, bytes: out })
    }
    this.#write({ channel, bytes, isSealed, length: bytes.length }, write)
    if (this.#nextNumber > LAST_NUMBER) effects.push({ kind: 'close', client: this.id })
    return 0
  }

  handleBlocked(): void {
    this.#isWritable = false
  }

  /** `isBlockedAfter`: writes one frame and says whether the buffer is full again. */
  handleDrained(isBlockedAfter: (bytes: Uint8Array) => boolean): void {
    let isBlocked = false
    const write = (bytes: Uint8Array): void => {
      isBlocked = isBlockedAfter(bytes) || isBlocked
    }
    const replies = this.#replies
    this.#replies = []
    this.#replyBytes = 0
    for (const plain of replies) write(this.#seal(plain))
    while (!isBlocked) {
      const next = this.#outbox.shift()
      if (next === undefined) break
      this.#write(next, write)
    }
    this.#isWritable = !isBlocked
  }

  /** A sealed frame of the client is passed over: it sends too much. */
  skip(): void {
    this.noise.skip()
    this.hasSkipped = true
  }

  /** Nothing may be written any more. */
  end(): void {
    this.isGone = true
    this.opened.clear()
    this.openedTo.clear()
    this.named.clear()
    this.noise.wipe()
  }

  // --- numbers ---------------------------------------------------------------------------------

  open(channel: Channel): void {
    this.opened.set(channel.number, channel)
    this.openedTo.set(channel.identity, channel)
  }

  /** Ends a channel of this client and tells its recipient; the client too if there is a reason to. */
  close(channel: Channel, reason: RelayClosing | undefined, effects: RelayEffect[]): void {
    this.opened.delete(channel.number)
    this.openedTo.delete(channel.identity)
    channel.to.unname(channel, effects)
    if (reason !== undefined) this.reply({ kind: 'closed', number: channel.number, reason }, effects)
  }

  /** The sender may not write any more, or gave way. */
  unname(channel: Channel, effects: RelayEffect[]): void {
    const { named } = channel
    if (named === undefined || !this.named.delete(named)) return
    channel.named = undefined
    this.reply({ kind: 'released', number: named }, effects)
  }

  #write({ channel, bytes, isSealed }: Forwarded, write: (bytes: Uint8Array) => void): void {
    if (channel.from.opened.get(channel.number) !== channel || channel.to !== this) return
    const number = channel.named ?? this.#name(channel, write)
    if (isSealed) write(this.#seal(encodeSessionFrame({ kind: 'message', number, message: bytes })))
    else {
      setNumber(bytes, number)
      write(bytes)
    }
  }

  #name(channel: Channel, write: (bytes: Uint8Array) => void): number {
    if (this.named.size >= this.#maxNumbers()) this.#forgetIdlest(write)
    const number = this.#nextNumber++
    channel.named = number
    this.named.set(number, channel)
    write(this.#seal(encodeSessionFrame({ kind: 'peer', number, identity: channel.from.identityBytes })))
    return number
  }

  #forgetIdlest(write: (bytes: Uint8Array) => void): void {
    const channel = idlestOf(this.named.values())
    if (channel?.named === undefined) return
    this.named.delete(channel.named)
    write(this.#seal(encodeSessionFrame({ kind: 'released', number: channel.named })))
    channel.named = undefined
  }

  #seal(plain: Uint8Array): Uint8Array {
    return encodeFrame(FRAME.sealed, this.noise.seal(plain))
  }
}

/** The one that has been idle for longest. */
export function idlestOf(channels: Iterable<Channel>): Channel | undefined {
  let idlest: Channel | undefined
  for (const channel of channels) {
    if (idlest === undefined || channel.usedAtMs < idlest.usedAtMs) idlest = channel
  }
  return idlest
}
