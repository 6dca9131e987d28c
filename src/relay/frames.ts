/**
 * Relay frames <-> bytes. The reader that cuts them out of a stream is in frame-reader.ts.
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
 * | 9 hello | identity 32: who the client says it is; its first frame |
 * | 10 challenge | random 32 · the relay's key 32 |
 * | 11 proof | signature 64 over random · the relay's key · ticket, which may be empty |
 * | 12 welcome | nothing |
 * | 13 refused | reason 1: 0 proof, 1 ticket, 2 full |
 * | 14 direct | segment size 2 · messages, as in a batch: between two nodes, with no relay |
 *
 * The identity of a send is who it is for; the relay puts the sender's in its place, so that forwarding
 * changes 33 bytes and moves none. A batch keeps its type both ways. Longer bodies are read as far as
 * they are known, and unknown types are passed over: later versions may say more.
 */

import { concatBytes } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { encodeEndpoint, tryDecodeEndpoint } from '../net/endpoint-bytes.js'

export const IDENTITY_BYTES = 32
export const FRAME_HEADER_BYTES = 3
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
  hello: 9,
  challenge: 10,
  proof: 11,
  welcome: 12,
  refused: 13,
  direct: 14,
} as const

/** In the order of their numbers. */
const GONE_REASONS = ['notHere', 'left'] as const
const STATES = ['healthy', 'rateLimited', 'restarting'] as const
const REFUSALS = ['proof', 'ticket', 'full'] as const
export type RelayRefusal = (typeof REFUSALS)[number]

export const CHALLENGE_BYTES = 32
const SIGNATURE_BYTES = 64
/** Label of the signature in a proof. */
export const RELAY_PROOF_LABEL = 'overlay relay proof v1'

export type RelayFrame =
  /** `identity`: the other end, whichever way it goes. */
  | {
      readonly kind: 'messages'
      readonly identity: Uint8Array
      readonly segmentBytes: number
      readonly messages: Uint8Array
    }
  | { readonly kind: 'direct'; readonly segmentBytes: number; readonly messages: Uint8Array }
  | { readonly kind: 'ping' | 'pong'; readonly payload: Uint8Array }
  | {
      readonly kind: 'peerGone'
      readonly identity: Uint8Array
      readonly reason: (typeof GONE_REASONS)[number]
    }
  | { readonly kind: 'status'; readonly state: (typeof STATES)[number]; readonly delayMs: number }
  | { readonly kind: 'observed'; readonly endpoint: Endpoint }
  | { readonly kind: 'hello'; readonly identity: Uint8Array }
  | { readonly kind: 'challenge'; readonly random: Uint8Array; readonly relayKey: Uint8Array }
  | { readonly kind: 'proof'; readonly signature: Uint8Array; readonly ticket: Uint8Array }
  | { readonly kind: 'welcome' }
  | { readonly kind: 'refused'; readonly reason: RelayRefusal }

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

export function encodeHello(identity: Uint8Array): Uint8Array {
  return encode(FRAME.hello, identity)
}

export function encodeChallenge(random: Uint8Array, relayKey: Uint8Array): Uint8Array {
  return encode(FRAME.challenge, random, relayKey)
}

export function encodeProof(signature: Uint8Array, ticket: Uint8Array): Uint8Array {
  return encode(FRAME.proof, signature, ticket)
}

export function encodeWelcome(): Uint8Array {
  return encode(FRAME.welcome)
}

export function encodeRefused(reason: RelayRefusal): Uint8Array {
  return encode(FRAME.refused, Uint8Array.of(REFUSALS.indexOf(reason)))
}

/**
 * Puts the header of a send or a batch into the free bytes before messages. `frame`: messages from
 * `headroom` on, at least RELAY_HEADER_BYTES. borrowed: the frame.
 */
export function frameInPlace(
  frame: Uint8Array,
  headroom: number,
  identity: Uint8Array,
  segmentBytes: number,
): Uint8Array {
  const isBatch = frame.length - headroom > segmentBytes
  const start = headroom - FRAME_HEADER_BYTES - IDENTITY_BYTES - (isBatch ? 2 : 0)
  const out = frame.subarray(start)
  const bodyBytes = out.length - FRAME_HEADER_BYTES
  out.set([isBatch ? FRAME.batch : FRAME.send, bodyBytes >> 8, bodyBytes & 0xff])
  out.set(identity, FRAME_HEADER_BYTES)
  if (isBatch) out.set([segmentBytes >> 8, segmentBytes & 0xff], FRAME_HEADER_BYTES + IDENTITY_BYTES)
  return out
}

/** The same for a node that is connected directly: no identity, for what is sealed says whose it is. */
export function frameDirectInPlace(frame: Uint8Array, headroom: number, segmentBytes: number): Uint8Array {
  const out = frame.subarray(headroom - FRAME_HEADER_BYTES - 2)
  const bodyBytes = out.length - FRAME_HEADER_BYTES
  out.set([FRAME.direct, bodyBytes >> 8, bodyBytes & 0xff, segmentBytes >> 8, segmentBytes & 0xff])
  return out
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
    case FRAME.direct: {
      if (body.length < 3) return undefined
      const segmentBytes = view.getUint16(0)
      return segmentBytes === 0 ? undefined : { kind: 'direct', segmentBytes, messages: body.subarray(2) }
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
    case FRAME.hello:
      return body.length < IDENTITY_BYTES ? undefined : { kind: 'hello', identity }
    case FRAME.challenge:
      return rest.length < CHALLENGE_BYTES
        ? undefined
        : { kind: 'challenge', random: identity, relayKey: rest.subarray(0, CHALLENGE_BYTES) }
    case FRAME.proof:
      return body.length < SIGNATURE_BYTES
        ? undefined
        : {
            kind: 'proof',
            signature: body.subarray(0, SIGNATURE_BYTES),
            ticket: body.subarray(SIGNATURE_BYTES),
          }
    case FRAME.welcome:
      return { kind: 'welcome' }
    case FRAME.refused: {
      const reason = REFUSALS[body[0] ?? -1]
      return reason && { kind: 'refused', reason }
    }
    default:
      return undefined
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
