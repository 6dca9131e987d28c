/**
 * Relay frames <-> bytes, and the reader that cuts them out of a stream.
 *
 * | offset | size | field |
 * | 0 | 1 | type |
 * | 1 | 2 | length of the body, big-endian |
 * | 3 | n | body |
 *
 * | type | body |
 * | 1 send, 2 receive | identity 32 · message |
 * | 3 batch | identity 32 · segment size 2 · messages, all of that size but the last |
 * | 4 ping, 5 pong | what the ping holds, at most 64 bytes |
 * | 6 peer gone | identity 32 · reason 1: 0 not here, 1 left |
 * | 7 status | state 1: 0 healthy, 1 rate-limited, 2 restarting · delay 4, in ms |
 * | 8 observed | endpoint 18: the client's, as the relay sees it |
 *
 * The identity of a send is who it is for; the relay puts the sender's in its place, so that forwarding
 * changes 33 bytes and moves none. A batch keeps its type both ways. Longer bodies are read as far as
 * they are known, and unknown types are passed over: later versions may say more.
 */

import { concatBytes } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { encodeEndpoint, tryDecodeEndpoint } from '../net/endpoint-bytes.js'

export const IDENTITY_BYTES = 32
const FRAME_HEADER_BYTES = 3
/** The length field's bound is the protocol's: 16 bits. */
const MAX_BODY_BYTES = 0xffff
const MAX_PING_BYTES = 64

const FRAME = {
  send: 1,
  receive: 2,
  batch: 3,
  ping: 4,
  pong: 5,
  peerGone: 6,
  status: 7,
  observed: 8,
} as const

/** In the order of their numbers. */
const GONE_REASONS = ['notHere', 'left'] as const
const STATES = ['healthy', 'rateLimited', 'restarting'] as const

export type RelayFrame =
  /** `identity`: the other end, whichever way it goes. */
  | {
      readonly kind: 'messages'
      readonly identity: Uint8Array
      readonly segmentBytes: number
      readonly messages: Uint8Array
    }
  | { readonly kind: 'ping' | 'pong'; readonly payload: Uint8Array }
  | {
      readonly kind: 'peerGone'
      readonly identity: Uint8Array
      readonly reason: (typeof GONE_REASONS)[number]
    }
  | { readonly kind: 'status'; readonly state: (typeof STATES)[number]; readonly delayMs: number }
  | { readonly kind: 'observed'; readonly endpoint: Endpoint }

/** Where a frame lies in a stream's bytes. borrowed: valid until the next call of the reader. */
export interface RawFrame {
  readonly type: number
  /** Header included. */
  readonly bytes: Uint8Array
}

// --- encoding ----------------------------------------------------------------------------------

/** One message towards the relay. Throws RangeError above 65,503 bytes. */
export function encodeSend(identity: Uint8Array, message: Uint8Array): Uint8Array {
  return encode(FRAME.send, identity, message)
}

/** Several of one size. `messages`: all of `segmentBytes` but the last. */
export function encodeBatch(identity: Uint8Array, segmentBytes: number, messages: Uint8Array): Uint8Array {
  return encode(FRAME.batch, identity, Uint8Array.of(segmentBytes >> 8, segmentBytes), messages)
}

/** `payload`: at most 64 bytes; comes back in the pong. */
export function encodePing(payload: Uint8Array): Uint8Array {
  return encode(FRAME.ping, payload.subarray(0, MAX_PING_BYTES))
}

export function encodePong(payload: Uint8Array): Uint8Array {
  return encode(FRAME.pong, payload.subarray(0, MAX_PING_BYTES))
}

export function encodePeerGone(identity: Uint8Array, reason: (typeof GONE_REASONS)[number]): Uint8Array {
  return encode(FRAME.peerGone, identity, Uint8Array.of(GONE_REASONS.indexOf(reason)))
}

export function encodeStatus(state: (typeof STATES)[number], delayMs: number): Uint8Array {
  const body = new Uint8Array(5)
  body[0] = STATES.indexOf(state)
  viewOf(body).setUint32(1, delayMs)
  return encode(FRAME.status, body)
}

export function encodeObserved(endpoint: Endpoint): Uint8Array {
  return encode(FRAME.observed, encodeEndpoint(endpoint))
}

/**
 * Turns a send or batch of `sender` into what its receiver gets, in place.
 * `frame`: with an identity, see recipientOf.
 */
export function readdress(frame: RawFrame, sender: Uint8Array): void {
  if (frame.type === FRAME.send) frame.bytes[0] = FRAME.receive
  frame.bytes.set(sender, FRAME_HEADER_BYTES)
}

function encode(type: number, ...body: readonly Uint8Array[]): Uint8Array {
  const length = body.reduce((sum, part) => sum + part.length, 0)
  if (length > MAX_BODY_BYTES) throw new RangeError(`a frame holds ${MAX_BODY_BYTES} bytes, not ${length}`)
  return concatBytes(Uint8Array.of(type, length >> 8, length), ...body)
}

// --- decoding ----------------------------------------------------------------------------------

/** Who a send or batch is for; undefined if the frame is neither, or holds no message. borrowed: the frame. */
export function recipientOf({ type, bytes }: RawFrame): Uint8Array | undefined {
  const least = type === FRAME.send ? 1 : type === FRAME.batch ? 3 : Number.POSITIVE_INFINITY
  const start = FRAME_HEADER_BYTES + IDENTITY_BYTES
  return bytes.length < start + least ? undefined : bytes.subarray(FRAME_HEADER_BYTES, start)
}

/** Of the first message of a frame that has a recipient: a WireGuard or probe message tells its kind by it. */
export function firstMessageByte({ type, bytes }: RawFrame): number | undefined {
  return bytes[FRAME_HEADER_BYTES + IDENTITY_BYTES + (type === FRAME.batch ? 2 : 0)]
}

/** Undefined if its type is not known or its body too short. borrowed: the frame. */
export function decodeFrame({ type, bytes }: RawFrame): RelayFrame | undefined {
  const body = bytes.subarray(FRAME_HEADER_BYTES)
  const view = viewOf(body)
  const identity = body.subarray(0, IDENTITY_BYTES)
  const rest = body.subarray(IDENTITY_BYTES)
  switch (type) {
    case FRAME.send:
    case FRAME.receive:
      if (rest.length === 0) return undefined
      return { kind: 'messages', identity, segmentBytes: rest.length, messages: rest }
    case FRAME.batch: {
      if (rest.length < 3) return undefined
      const segmentBytes = view.getUint16(IDENTITY_BYTES)
      return segmentBytes === 0
        ? undefined
        : { kind: 'messages', identity, segmentBytes, messages: rest.subarray(2) }
    }
    case FRAME.ping:
    case FRAME.pong:
      if (body.length > MAX_PING_BYTES) return undefined
      return { kind: type === FRAME.ping ? 'ping' : 'pong', payload: body }
    case FRAME.peerGone: {
      const reason = GONE_REASONS[rest[0] ?? -1]
      return reason && { kind: 'peerGone', identity, reason }
    }
    case FRAME.status: {
      const state = STATES[body[0] ?? -1]
      return body.length < 5 || state === undefined
        ? undefined
        : { kind: 'status', state, delayMs: view.getUint32(1) }
    }
    case FRAME.observed: {
      const endpoint = tryDecodeEndpoint(body, 0)
      return endpoint && { kind: 'observed', endpoint }
    }
    default:
      return undefined
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/**
 * Cuts a stream into frames. Frames that lie whole in one chunk are not copied. What is cut by the end of a
 * chunk waits in a buffer that grows with what has come, not with what a header promises, and so costs a
 * sender as much as it costs us.
 */
export class FrameReader {
  #buffer = new Uint8Array(0)
  #filled = 0

  /** Calls `onFrame` for each frame that is whole now. `chunk`: the frames point into it. */
  push(chunk: Uint8Array, onFrame: (frame: RawFrame) => void): void {
    let rest = chunk
    while (this.#filled > 0 && rest.length > 0) {
      const wanted = missingBytes(this.#buffer, this.#filled)
      this.#append(rest.subarray(0, wanted))
      rest = rest.subarray(wanted)
      if (this.#filled < FRAME_HEADER_BYTES || missingBytes(this.#buffer, this.#filled) > 0) continue
      const bytes = this.#buffer.subarray(0, this.#filled)
      this.#buffer = new Uint8Array(0)
      this.#filled = 0
      onFrame({ type: bytes[0] as number, bytes })
    }
    while (rest.length >= FRAME_HEADER_BYTES && missingBytes(rest, rest.length) <= 0) {
      const end = FRAME_HEADER_BYTES + bodyLength(rest)
      onFrame({ type: rest[0] as number, bytes: rest.subarray(0, end) })
      rest = rest.subarray(end)
    }
    if (rest.length > 0) this.#append(rest)
  }

  #append(bytes: Uint8Array): void {
    const filled = this.#filled + bytes.length
    if (filled > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(filled, 2 * this.#buffer.length))
      grown.set(this.#buffer.subarray(0, this.#filled))
      this.#buffer = grown
    }
    this.#buffer.set(bytes, this.#filled)
    this.#filled = filled
  }
}

/** Until the header, then until the frame is whole; 0 or less if more is there. */
function missingBytes(bytes: Uint8Array, filled: number): number {
  if (filled < FRAME_HEADER_BYTES) return FRAME_HEADER_BYTES - filled
  return FRAME_HEADER_BYTES + bodyLength(bytes) - filled
}

function bodyLength(bytes: Uint8Array): number {
  return ((bytes[1] as number) << 8) | (bytes[2] as number)
}
