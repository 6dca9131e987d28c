/**
 * STUN messages <-> bytes (RFC 8489), as far as finding one's own address needs it.
 *
 * | offset | size | field |
 * | 0  | 2  | class and method, mixed (section 5); the upper two bits are 0 |
 * | 2  | 2  | length of what follows the header |
 * | 4  | 4  | magic cookie 21 12 a4 42 |
 * | 8  | 12 | transaction id |
 * | 20 | n  | attributes: type 2, length 2, value, padding to 4 bytes |
 *
 * A decoded message keeps its bytes: integrity and fingerprint are computed over what came, never over
 * an encoding of it anew, because padding may hold anything. Of an attribute that stands twice the first
 * counts; what follows MESSAGE-INTEGRITY is ignored but for FINGERPRINT (sections 14.5, 14.7).
 * Some servers leave out the padding of the last attribute, and count it in the length or not: that is understood.
 */

import { hmac } from '@noble/hashes/hmac.js'
import { sha1 } from '@noble/hashes/legacy.js'
import { concatBytes, equalBytes } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { ipFromBytes } from '../net/ip.js'

export const STUN_DEFAULT_PORT = 3478
export const TRANSACTION_ID_BYTES = 12

const HEADER_BYTES = 20
const COOKIE = Uint8Array.of(0x21, 0x12, 0xa4, 0x42)
const BINDING = 0x001
const FINGERPRINT_MASK = 0x5354_554e // section 14.7
const FAMILY_V4 = 1
const FAMILY_V6 = 2
/** More than any message of a server that means well has. */
const MAX_ATTRIBUTES = 64

const ATTRIBUTE = {
  mappedAddress: 0x0001,
  changeRequest: 0x0003, // RFC 5780 section 7.2
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  xorMappedAddress: 0x0020,
  responsePort: 0x0027, // RFC 5780 section 7.5
  software: 0x8022,
  fingerprint: 0x8028,
  otherAddress: 0x802c, // RFC 5780 section 7.4
} as const

/** Makes a request to another port as long as its answer: a server must not be made to say more than it hears. */
const PADDING: Uint8Array = new TextEncoder().encode('overlay, asking for another port')

/** In the order of their two bits on the wire. */
const CLASSES = ['request', 'indication', 'success', 'error'] as const
type StunClass = (typeof CLASSES)[number]

interface Attribute {
  /** Where its header starts in the message. */
  readonly offset: number
  readonly value: Uint8Array
}

export interface StunMessage {
  readonly class: StunClass
  /** 1 for Binding. */
  readonly method: number
  readonly transactionId: Uint8Array
  readonly attributes: ReadonlyMap<number, Attribute>
  /** borrowed: the datagram it was decoded from. */
  readonly bytes: Uint8Array
}

/** What a request asks of a server with two addresses (RFC 5780): where the answer is to come from. */
export interface ChangeRequest {
  readonly address: boolean
  readonly port: boolean
}

export interface BindingAnswer {
  readonly transactionId: Uint8Array
  readonly mapped: Endpoint
  /** The other address and port from which this server answers too. */
  readonly other?: Endpoint
}

/** By the first bits and the cookie: enough to tell it from WireGuard and from probes. */
export function isStun(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_BYTES || (bytes[0] as number) >= 0x40) return false
  return COOKIE.every((byte, i) => bytes[4 + i] === byte)
}

/** Also of a message that is not well-formed. `bytes`: isStun. */
export function transactionIdOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(8, HEADER_BYTES)
}

/** Undefined if `bytes` is no whole, well-formed message, or its fingerprint is wrong. */
export function decodeStun(bytes: Uint8Array): StunMessage | undefined {
  if (!isStun(bytes)) return undefined
  const view = viewOf(bytes)
  const attributes = tryReadAttributes(bytes, view)
  if (attributes === undefined) return undefined
  const type = view.getUint16(0)
  const kind = ((type >> 7) & 2) | ((type >> 4) & 1)
  const message: StunMessage = {
    class: CLASSES[kind] as StunClass,
    method: (type & 0x000f) | ((type >> 1) & 0x0070) | ((type >> 2) & 0x0f80),
    transactionId: transactionIdOf(bytes),
    attributes,
    bytes,
  }
  return isFingerprintWrong(message) ? undefined : message
}

export function isBinding(message: StunMessage): boolean {
  return message.method === BINDING
}

/** The sender's address as the answering server saw it. */
export function mappedEndpoint(message: StunMessage): Endpoint | undefined {
  const { attributes } = message
  const masked = attributes.get(ATTRIBUTE.xorMappedAddress)?.value
  if (masked !== undefined) return tryReadEndpoint(masked, maskOf(message.transactionId))
  const plain = attributes.get(ATTRIBUTE.mappedAddress)?.value
  return plain && tryReadEndpoint(plain)
}

/** Where else the server answers from; undefined if it has one address only. */
export function otherEndpoint(message: StunMessage): Endpoint | undefined {
  const value = message.attributes.get(ATTRIBUTE.otherAddress)?.value
  return value && tryReadEndpoint(value)
}

/** 300 to 699; undefined if the message says none. */
export function errorCode(message: StunMessage): number | undefined {
  const value = message.attributes.get(ATTRIBUTE.errorCode)?.value
  if (value === undefined || value.length < 4) return undefined
  const hundreds = (value[2] as number) & 7
  const rest = value[3] as number
  return hundreds < 3 || hundreds > 6 || rest > 99 ? undefined : hundreds * 100 + rest
}

/** MESSAGE-INTEGRITY (section 14.5). `key`: the password, or the hash of a long-term credential. */
export function hasValidIntegrity(message: StunMessage, key: Uint8Array): boolean {
  const attribute = message.attributes.get(ATTRIBUTE.messageIntegrity)
  if (attribute === undefined) return false
  const covered = message.bytes.slice(0, attribute.offset)
  // The length is counted as if the message ended with this attribute.
  viewOf(covered).setUint16(2, attribute.offset + 4 + attribute.value.length - HEADER_BYTES)
  return equalBytes(hmac(sha1, key, covered), attribute.value)
}

export function hasFingerprint(message: StunMessage): boolean {
  return message.attributes.has(ATTRIBUTE.fingerprint)
}

/** `transactionId`: 12 random bytes, kept to know the answer by. */
export function encodeBindingRequest(transactionId: Uint8Array, change?: ChangeRequest): Uint8Array {
  const asked = change !== undefined && (change.address || change.port)
  const flags = Uint8Array.of(0, 0, 0, (change?.address ? 4 : 0) | (change?.port ? 2 : 0))
  return encode('request', transactionId, asked ? [[ATTRIBUTE.changeRequest, flags]] : [])
}

/** The answer is to go to another port of the address that asks (RFC 5780 section 7.5). */
export function encodeResponsePortRequest(transactionId: Uint8Array, port: number): Uint8Array {
  const value = Uint8Array.of(port >> 8, port & 0xff, 0, 0)
  return encode('request', transactionId, [
    [ATTRIBUTE.responsePort, value],
    [ATTRIBUTE.software, PADDING],
  ])
}

export function encodeBindingAnswer(answer: BindingAnswer): Uint8Array {
  const { transactionId, mapped, other } = answer
  const attributes: [number, Uint8Array][] = [
    [ATTRIBUTE.xorMappedAddress, writeEndpoint(mapped, maskOf(transactionId))],
  ]
  if (other !== undefined) attributes.push([ATTRIBUTE.otherAddress, writeEndpoint(other)])
  return encode('success', transactionId, attributes)
}

/** What a request asks; nothing changed if it does not say. */
export function changeRequest(message: StunMessage): ChangeRequest {
  const flags = message.attributes.get(ATTRIBUTE.changeRequest)?.value[3] ?? 0
  return { address: (flags & 4) !== 0, port: (flags & 2) !== 0 }
}

/** Where the answer is to go instead; undefined if the request does not say, NaN if it makes no sense. */
export function responsePort(message: StunMessage): number | undefined {
  const value = message.attributes.get(ATTRIBUTE.responsePort)?.value
  if (value === undefined) return undefined
  return value.length === 4 ? viewOf(value).getUint16(0) : Number.NaN
}

// --- attributes --------------------------------------------------------------------------------

function tryReadAttributes(bytes: Uint8Array, view: DataView): Map<number, Attribute> | undefined {
  const attributes = new Map<number, Attribute>()
  const claimedEnd = HEADER_BYTES + view.getUint16(2)
  let paddedEnd = HEADER_BYTES
  let isProtected = false
  let count = 0
  for (let offset = HEADER_BYTES; offset < bytes.length; ) {
    if (++count > MAX_ATTRIBUTES || offset + 4 > bytes.length) return undefined
    const type = view.getUint16(offset)
    const end = offset + 4 + view.getUint16(offset + 2)
    if (end > bytes.length) return undefined
    paddedEnd = (end + 3) & ~3
    const isFingerprint = type === ATTRIBUTE.fingerprint
    if (isFingerprint && paddedEnd !== bytes.length) return undefined
    if ((!isProtected || isFingerprint) && !attributes.has(type)) {
      attributes.set(type, { offset, value: bytes.subarray(offset + 4, end) })
    }
    isProtected ||= type === ATTRIBUTE.messageIntegrity
    offset = paddedEnd
  }
  // Of the last one the padding may be missing, and be counted all the same.
  return claimedEnd === bytes.length || claimedEnd === paddedEnd ? attributes : undefined
}

function isFingerprintWrong({ attributes, bytes }: StunMessage): boolean {
  const attribute = attributes.get(ATTRIBUTE.fingerprint)
  if (attribute === undefined) return false
  const { offset, value } = attribute
  return value.length !== 4 || viewOf(value).getUint32(0) !== fingerprintOf(bytes.subarray(0, offset))
}

/** First the port's, then the address's mask (section 14.2). */
function maskOf(transactionId: Uint8Array): Uint8Array {
  return concatBytes(COOKIE, transactionId)
}

function tryReadEndpoint(value: Uint8Array, mask?: Uint8Array): Endpoint | undefined {
  const length = value[1] === FAMILY_V4 ? 4 : value[1] === FAMILY_V6 ? 16 : undefined
  if (length === undefined || value.length !== 4 + length) return undefined
  const address = value.slice(4)
  let port = viewOf(value).getUint16(2)
  if (mask !== undefined) {
    port ^= viewOf(mask).getUint16(0)
    for (let i = 0; i < length; i++) address[i] = (address[i] as number) ^ (mask[i] as number)
  }
  return port === 0 ? undefined : { address: ipFromBytes(address), port, scopeId: 0 }
}

function writeEndpoint({ address, port }: Endpoint, mask?: Uint8Array): Uint8Array {
  const value = concatBytes(new Uint8Array(4), address.bytes)
  value[1] = address.family === 4 ? FAMILY_V4 : FAMILY_V6
  const view = viewOf(value)
  view.setUint16(2, mask === undefined ? port : port ^ viewOf(mask).getUint16(0))
  if (mask === undefined) return value
  for (let i = 0; i < address.bytes.length; i++) {
    value[4 + i] = (value[4 + i] as number) ^ (mask[i] as number)
  }
  return value
}

// --- the whole ---------------------------------------------------------------------------------

/** A Binding message with a fingerprint. */
function encode(
  kind: StunClass,
  transactionId: Uint8Array,
  attributes: readonly (readonly [type: number, value: Uint8Array])[],
): Uint8Array {
  const body = attributes.map(([type, value]) => {
    const bytes = new Uint8Array((4 + value.length + 3) & ~3)
    viewOf(bytes).setUint16(0, type)
    viewOf(bytes).setUint16(2, value.length)
    bytes.set(value, 4)
    return bytes
  })
  const message = concatBytes(new Uint8Array(HEADER_BYTES), ...body, new Uint8Array(8))
  const view = viewOf(message)
  const bits = CLASSES.indexOf(kind)
  view.setUint16(0, BINDING | ((bits & 2) << 7) | ((bits & 1) << 4))
  view.setUint16(2, message.length - HEADER_BYTES)
  message.set(COOKIE, 4)
  message.set(transactionId, 8)
  const at = message.length - 8
  view.setUint16(at, ATTRIBUTE.fingerprint)
  view.setUint16(at + 2, 4)
  view.setUint32(at + 4, fingerprintOf(message.subarray(0, at)))
  return message
}

function fingerprintOf(covered: Uint8Array): number {
  return (crc32(covered) ^ FINGERPRINT_MASK) >>> 0
}

/** The CRC of ITU V.42, bit by bit: messages are short and rare. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0xedb8_8320 : 0)
  }
  return ~crc >>> 0
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}
