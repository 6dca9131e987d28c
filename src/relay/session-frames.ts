/**
 * What a node and a relay say to each other inside their session <-> bytes: the plaintext of sealed frames.
 * The first byte is the type.
 *
 * | type | from | body |
 * | 1 proof | node | identity 32 · signature 64 of the handshake hash · ticket, which may be empty |
 * | 2 welcome | relay | Mbit/s that the node may send 4, 0 for no limit · endpoint 18: the node's, as the relay sees it |
 * | 3 refused | relay | reason 1: 0 proof, 1 ticket, 2 full, 3 replaced by another connection, 4 revoked |
 * | 4 ping, 5 pong | node, relay | 8 bytes, which come back |
 * | 6 open | node | number 4 · identity 32: messages with that number are for that identity |
 * | 7 closed | relay | number 4 that the node opened · reason 1: 0 not here, 1 not allowed, 2 idle, 3 unknown |
 * | 8 peer | relay | number 4 · identity 32: messages with that number are from that identity |
 * | 9 released | either | number 4 that the sender of this opened or named: it ends |
 * | 10 message | either | number 4 · a handshake message or a probe |
 * | 11 limited | relay | messages that were over the limit so far 4 |
 * | 12 ticket | node | a ticket younger than the one of its proof |
 *
 * Who opens or names numbers takes higher ones each time, from a random one on: none is used again, and a
 * frame of one session means nothing in another. Numbers are big-endian. Longer bodies are read as far as
 * they are known, and unknown types are passed over.
 */

import { concatBytes } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { encodeEndpoint, tryDecodeEndpoint } from '../net/endpoint-bytes.js'
import { MESSAGE_TRANSPORT } from '../wireguard/constants.js'
import { messageTypeOf } from '../wireguard/messages.js'

/** Label of the signature in a proof. */
export const RELAY_PROOF_LABEL = 'overlay relay proof v2'
const IDENTITY_BYTES = 32
const SIGNATURE_BYTES = 64
const PING_BYTES = 8
/** Sealed or not: the longest is a message of the size of a datagram. */
export const MAX_SESSION_FRAME_BYTES = 2048
/** A handshake or a probe is one datagram. */
const MAX_CONTROL_BYTES = 1500
/** Of probes, paths/disco.ts. */
const PROBE_MAGIC = 0x6f766c01
const LEAST_PROBE_BYTES = 52

const TYPES = [
  'none',
  'proof',
  'welcome',
  'refused',
  'ping',
  'pong',
  'open',
  'closed',
  'peer',
  'released',
  'message',
  'limited',
  'ticket',
] as const
/** In the order of their numbers. */
const REFUSALS = ['proof', 'ticket', 'full', 'replaced', 'revoked'] as const
const CLOSINGS = ['notHere', 'notAllowed', 'idle', 'unknown'] as const
export type RelayRefusal = (typeof REFUSALS)[number]
export type RelayClosing = (typeof CLOSINGS)[number]

export type SessionFrame =
  | {
      readonly kind: 'proof'
      readonly identity: Uint8Array
      readonly signature: Uint8Array
      readonly ticket: Uint8Array
    }
  /** `megabits`: a second; Infinity for no limit. */
  | { readonly kind: 'welcome'; readonly megabits: number; readonly observed: Endpoint | undefined }
  | { readonly kind: 'refused'; readonly reason: RelayRefusal }
  | { readonly kind: 'ping' | 'pong'; readonly payload: Uint8Array }
  | { readonly kind: 'open' | 'peer'; readonly number: number; readonly identity: Uint8Array }
  | { readonly kind: 'closed'; readonly number: number; readonly reason: RelayClosing }
  | { readonly kind: 'released'; readonly number: number }
  | { readonly kind: 'message'; readonly number: number; readonly message: Uint8Array }
  | { readonly kind: 'limited'; readonly dropped: number }
  | { readonly kind: 'ticket'; readonly ticket: Uint8Array }

export function encodeSessionFrame(frame: SessionFrame): Uint8Array {
  const type = Uint8Array.of(TYPES.indexOf(frame.kind))
  switch (frame.kind) {
    case 'proof':
      return concatBytes(type, frame.identity, frame.signature, frame.ticket)
    case 'welcome': {
      const megabits = Number.isFinite(frame.megabits) ? Math.max(1, Math.round(frame.megabits)) : 0
      const endpoint = frame.observed === undefined ? new Uint8Array(0) : encodeEndpoint(frame.observed)
      return concatBytes(type, uint32(megabits), endpoint)
    }
    case 'refused':
      return concatBytes(type, Uint8Array.of(REFUSALS.indexOf(frame.reason)))
    case 'ping':
    case 'pong':
      return concatBytes(type, frame.payload)
    case 'open':
    case 'peer':
      return concatBytes(type, uint32(frame.number), frame.identity)
    case 'closed':
      return concatBytes(type, uint32(frame.number), Uint8Array.of(CLOSINGS.indexOf(frame.reason)))
    case 'released':
      return concatBytes(type, uint32(frame.number))
    case 'message':
      return concatBytes(type, uint32(frame.number), frame.message)
    case 'limited':
      return concatBytes(type, uint32(Math.min(frame.dropped, 0xffff_ffff)))
    case 'ticket':
      return concatBytes(type, frame.ticket)
  }
}

/** Undefined if its type is not known or its body too short. borrowed: the bytes. */
export function decodeSessionFrame(bytes: Uint8Array): SessionFrame | undefined {
  const body = bytes.subarray(1)
  const rest = body.subarray(4)
  const kind = TYPES[bytes[0] ?? 0] ?? 'none'
  switch (kind) {
    case 'none':
      return undefined
    case 'proof':
      return decodeProof(body)
    case 'ticket':
      return { kind, ticket: body }
    case 'ping':
    case 'pong':
      return body.length < PING_BYTES ? undefined : { kind, payload: body.subarray(0, PING_BYTES) }
    case 'refused': {
      const reason = REFUSALS[body[0] ?? -1]
      return reason && { kind, reason }
    }
    default:
      break
  }
  if (body.length < 4) return undefined
  const number = new DataView(body.buffer, body.byteOffset).getUint32(0)
  switch (kind) {
    case 'welcome':
      return {
        kind,
        megabits: number === 0 ? Number.POSITIVE_INFINITY : number,
        observed: tryDecodeEndpoint(rest, 0),
      }
    case 'open':
    case 'peer':
      return rest.length < IDENTITY_BYTES
        ? undefined
        : { kind, number, identity: rest.subarray(0, IDENTITY_BYTES) }
    case 'closed': {
      const reason = CLOSINGS[rest[0] ?? -1]
      return reason && { kind, number, reason }
    }
    case 'released':
      return { kind, number }
    case 'message':
      return rest.length === 0 ? undefined : { kind, number, message: rest }
    case 'limited':
      return { kind, dropped: number }
  }
}

/**
 * Whether it may go sealed, and so ahead of data: a handshake message of exactly its size, or a probe. The
 * relay cannot open either; it can know that nothing else looks like them.
 */
export function isControlMessage(message: Uint8Array): boolean {
  if (message.length < 4 || message.length > MAX_CONTROL_BYTES) return false
  if (new DataView(message.buffer, message.byteOffset).getUint32(0) === PROBE_MAGIC) {
    return message.length >= LEAST_PROBE_BYTES
  }
  const type = messageTypeOf(message)
  return type !== 0 && type !== MESSAGE_TRANSPORT
}

function decodeProof(body: Uint8Array): SessionFrame | undefined {
  const end = IDENTITY_BYTES + SIGNATURE_BYTES
  if (body.length < end) return undefined
  return {
    kind: 'proof',
    identity: body.subarray(0, IDENTITY_BYTES),
    signature: body.subarray(IDENTITY_BYTES, end),
    ticket: body.subarray(end),
  }
}

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}
