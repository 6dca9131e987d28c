/**
 * The four messages on the wire (paper section 5.4). Numbers are little-endian.
 *
 * Decoders take a whole datagram, ask for the exact length and type word (the three reserved bytes
 * are zero), and give undefined for anything else. INVARIANT: no decoder throws, whatever the bytes.
 *
 * initiation, 148 bytes               response, 92 bytes
 *    0 ·  4 · type 1, reserved 0         0 ·  4 · type 2, reserved 0
 *    4 ·  4 · sender index               4 ·  4 · sender index
 *    8 · 32 · ephemeral                  8 ·  4 · receiver index
 *   40 · 48 · static, sealed            12 · 32 · ephemeral
 *   88 · 28 · timestamp, sealed         44 · 16 · nothing, sealed
 *  116 · 16 · mac1                      60 · 16 · mac1
 *  132 · 16 · mac2                      76 · 16 · mac2
 *
 * cookie reply, 64 bytes              transport data, 32 bytes and more
 *    0 ·  4 · type 3, reserved 0         0 ·  4 · type 4, reserved 0
 *    4 ·  4 · receiver index             4 ·  4 · receiver index
 *    8 · 24 · nonce                      8 ·  8 · counter
 *   32 · 32 · cookie, sealed            16 ·  n · packet, sealed
 */

import {
  COOKIE_REPLY_BYTES,
  INITIATION_BYTES,
  KEEPALIVE_BYTES,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_INITIATION,
  MESSAGE_RESPONSE,
  MESSAGE_TRANSPORT,
  RESPONSE_BYTES,
} from './constants.js'

/** Of decoded messages, all arrays are borrowed: views into the datagram. */
export interface Initiation {
  readonly senderIndex: number
  readonly ephemeral: Uint8Array
  readonly sealedStatic: Uint8Array
  readonly sealedTimestamp: Uint8Array
  readonly mac1: Uint8Array
  readonly mac2: Uint8Array
}

export interface Response {
  readonly senderIndex: number
  readonly receiverIndex: number
  readonly ephemeral: Uint8Array
  readonly sealedEmpty: Uint8Array
  readonly mac1: Uint8Array
  readonly mac2: Uint8Array
}

export interface CookieReply {
  readonly receiverIndex: number
  readonly nonce: Uint8Array
  readonly sealedCookie: Uint8Array
}

/** Offset of the sender index in an initiation and in a response. */
export const SENDER_INDEX_OFFSET = 4

/** One of the MESSAGE_ numbers if type word and length fit each other, else 0. */
export function messageTypeOf(bytes: Uint8Array): number {
  if (bytes.length < KEEPALIVE_BYTES) return 0
  const type = readUint32Le(bytes, 0)
  if (type === MESSAGE_TRANSPORT) return type
  if (type === MESSAGE_INITIATION) return bytes.length === INITIATION_BYTES ? type : 0
  if (type === MESSAGE_RESPONSE) return bytes.length === RESPONSE_BYTES ? type : 0
  if (type === MESSAGE_COOKIE_REPLY) return bytes.length === COOKIE_REPLY_BYTES ? type : 0
  return 0
}

export function decodeInitiation(bytes: Uint8Array): Initiation | undefined {
  if (messageTypeOf(bytes) !== MESSAGE_INITIATION) return undefined
  return {
    senderIndex: readUint32Le(bytes, SENDER_INDEX_OFFSET),
    ephemeral: bytes.subarray(8, 40),
    sealedStatic: bytes.subarray(40, 88),
    sealedTimestamp: bytes.subarray(88, 116),
    mac1: bytes.subarray(116, 132),
    mac2: bytes.subarray(132, 148),
  }
}

export function encodeInitiation(fields: Initiation): Uint8Array {
  const bytes = new Uint8Array(INITIATION_BYTES)
  writeUint32Le(bytes, 0, MESSAGE_INITIATION)
  writeUint32Le(bytes, SENDER_INDEX_OFFSET, fields.senderIndex)
  bytes.set(fields.ephemeral, 8)
  bytes.set(fields.sealedStatic, 40)
  bytes.set(fields.sealedTimestamp, 88)
  bytes.set(fields.mac1, 116)
  bytes.set(fields.mac2, 132)
  return bytes
}

export function decodeResponse(bytes: Uint8Array): Response | undefined {
  if (messageTypeOf(bytes) !== MESSAGE_RESPONSE) return undefined
  return {
    senderIndex: readUint32Le(bytes, SENDER_INDEX_OFFSET),
    receiverIndex: readUint32Le(bytes, 8),
    ephemeral: bytes.subarray(12, 44),
    sealedEmpty: bytes.subarray(44, 60),
    mac1: bytes.subarray(60, 76),
    mac2: bytes.subarray(76, 92),
  }
}

export function encodeResponse(fields: Response): Uint8Array {
  const bytes = new Uint8Array(RESPONSE_BYTES)
  writeUint32Le(bytes, 0, MESSAGE_RESPONSE)
  writeUint32Le(bytes, SENDER_INDEX_OFFSET, fields.senderIndex)
  writeUint32Le(bytes, 8, fields.receiverIndex)
  bytes.set(fields.ephemeral, 12)
  bytes.set(fields.sealedEmpty, 44)
  bytes.set(fields.mac1, 60)
  bytes.set(fields.mac2, 76)
  return bytes
}

export function decodeCookieReply(bytes: Uint8Array): CookieReply | undefined {
  if (messageTypeOf(bytes) !== MESSAGE_COOKIE_REPLY) return undefined
  return {
    receiverIndex: readUint32Le(bytes, 4),
    nonce: bytes.subarray(8, 32),
    sealedCookie: bytes.subarray(32, 64),
  }
}

export function encodeCookieReply(fields: CookieReply): Uint8Array {
  const bytes = new Uint8Array(COOKIE_REPLY_BYTES)
  writeUint32Le(bytes, 0, MESSAGE_COOKIE_REPLY)
  writeUint32Le(bytes, 4, fields.receiverIndex)
  bytes.set(fields.nonce, 8)
  bytes.set(fields.sealedCookie, 32)
  return bytes
}

/** Writes TRANSPORT_HEADER_BYTES at `buffer[offset]`. */
export function writeTransportHeader(
  buffer: Uint8Array,
  offset: number,
  receiverIndex: number,
  counterHigh: number,
  counterLow: number,
): void {
  writeUint32Le(buffer, offset, MESSAGE_TRANSPORT)
  writeUint32Le(buffer, offset + 4, receiverIndex)
  writeUint32Le(buffer, offset + 8, counterLow)
  writeUint32Le(buffer, offset + 12, counterHigh)
}

/** The three readers take the offset of a transport message of at least KEEPALIVE_BYTES. */
export function readReceiverIndex(buffer: Uint8Array, offset: number): number {
  return readUint32Le(buffer, offset + 4)
}

export function readCounterLow(buffer: Uint8Array, offset: number): number {
  return readUint32Le(buffer, offset + 8)
}

export function readCounterHigh(buffer: Uint8Array, offset: number): number {
  return readUint32Le(buffer, offset + 12)
}

/** The four bytes must exist. */
export function readUint32Le(buffer: Uint8Array, offset: number): number {
  const low = (buffer[offset] as number) | ((buffer[offset + 1] as number) << 8)
  const high = (buffer[offset + 2] as number) | ((buffer[offset + 3] as number) << 8)
  return (low | (high << 16)) >>> 0
}

function writeUint32Le(buffer: Uint8Array, offset: number, value: number): void {
  buffer[offset] = value
  buffer[offset + 1] = value >>> 8
  buffer[offset + 2] = value >>> 16
  buffer[offset + 3] = value >>> 24
}
