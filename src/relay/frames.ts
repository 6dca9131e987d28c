/**
 * Frames of a connection to a relay, and of one between two nodes over TCP <-> bytes. The reader that cuts
 * them out of a stream is in frame-reader.ts; what sealed frames hold is in session-frames.ts.
 *
 * | offset | size | field |
 * | 0 | 1 | type |
 * | 1 | 2 | length of the body, big-endian |
 * | 3 | n | body |
 *
 * | type | body |
 * | 1 data | number 4 · message |
 * | 3 batch | number 4 · segment size 2 · messages, all of that size but the last |
 * | 9 hello | 48: first message of the handshake, noise-nk.ts; the node's first frame |
 * | 10 answer | 48: second message of the handshake; the relay's first frame |
 * | 14 direct | segment size 2 · messages, as in a batch: between two nodes, with no relay |
 * | 15 sealed | a session frame, sealed by the session: its size and 16 |
 *
 * Data and batch hold transport data of WireGuard alone, which is sealed from node to node, so the session
 * does not seal it again. Their numbers are of one session and one direction, and are never used again in
 * it: from a node, a number that it opened; from a relay, one that it named. Forwarding changes the number
 * and moves no byte. Whatever else goes over a relay goes sealed, and so does all that names somebody or
 * steers the session. Unknown types are passed over: later versions may say more.
 */

import { concatBytes } from '../base/bytes.js'
import { KEEPALIVE_BYTES, MESSAGE_TRANSPORT } from '../wireguard/constants.js'
import { readUint32Le } from '../wireguard/messages.js'

export const FRAME_HEADER_BYTES = 3
const NUMBER_BYTES = 4
/** The length field's bound is the protocol's: 16 bits. */
const MAX_BODY_BYTES = 0xffff
const SEGMENT_SIZE_BYTES = 2

export const FRAME = { data: 1, batch: 3, hello: 9, answer: 10, direct: 14, sealed: 15 } as const

/** Where a frame lies in a stream's bytes. borrowed: valid until the next call of the reader. */
export interface RawFrame {
  readonly type: number
  /** Header included. */
  readonly bytes: Uint8Array
}

/** borrowed: the frame. */
export interface Train {
  readonly segmentBytes: number
  readonly messages: Uint8Array
}

export interface NumberedTrain extends Train {
  readonly number: number
}

// --- encoding ----------------------------------------------------------------------------------

/** Throws RangeError above 65,535 bytes. */
export function encodeFrame(type: number, body: Uint8Array): Uint8Array {
  const { length } = body
  if (length > MAX_BODY_BYTES) throw new RangeError(`a frame holds ${MAX_BODY_BYTES} bytes, not ${length}`)
  return concatBytes(Uint8Array.of(type, length >> 8, length), body)
}

/**
 * Puts the header of a data or batch frame into the free bytes before messages. `frame`: messages from
 * `headroom` on, at least 9. borrowed: the frame.
 */
export function frameInPlace(
  frame: Uint8Array,
  headroom: number,
  to: { number: number; segmentBytes: number },
): Uint8Array {
  const isBatch = frame.length - headroom > to.segmentBytes
  const out = frame.subarray(
    headroom - FRAME_HEADER_BYTES - NUMBER_BYTES - (isBatch ? SEGMENT_SIZE_BYTES : 0),
  )
  writeHeader(out, isBatch ? FRAME.batch : FRAME.data)
  setNumber(out, to.number)
  if (isBatch) out.set([to.segmentBytes >> 8, to.segmentBytes & 0xff], FRAME_HEADER_BYTES + NUMBER_BYTES)
  return out
}

/** The same for a node that is connected directly: no number, for what is sealed says whose it is. */
export function frameDirectInPlace(frame: Uint8Array, headroom: number, segmentBytes: number): Uint8Array {
  const out = frame.subarray(headroom - FRAME_HEADER_BYTES - SEGMENT_SIZE_BYTES)
  writeHeader(out, FRAME.direct)
  out.set([segmentBytes >> 8, segmentBytes & 0xff], FRAME_HEADER_BYTES)
  return out
}

/** `bytes`: a data or batch frame; changed in place. */
export function setNumber(bytes: Uint8Array, number: number): void {
  for (let i = 0; i < NUMBER_BYTES; i++) bytes[FRAME_HEADER_BYTES + i] = number >>> (24 - 8 * i)
}

function writeHeader(frame: Uint8Array, type: number): void {
  const bodyBytes = frame.length - FRAME_HEADER_BYTES
  if (bodyBytes > MAX_BODY_BYTES)
    throw new RangeError(`a frame holds ${MAX_BODY_BYTES} bytes, not ${bodyBytes}`)
  frame.set([type, bodyBytes >> 8, bodyBytes & 0xff])
}

// --- decoding ----------------------------------------------------------------------------------

/** Of a data or batch frame; undefined if it is none, or holds anything but transport data. */
export function decodeTrain({ type, bytes }: RawFrame): NumberedTrain | undefined {
  const start = FRAME_HEADER_BYTES + NUMBER_BYTES
  if (type !== FRAME.data && type !== FRAME.batch) return undefined
  const train = type === FRAME.batch ? segmentsAt(bytes, start) : wholeAt(bytes, start)
  if (train === undefined || !isTransport(train)) return undefined
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(FRAME_HEADER_BYTES, start)
  return { number: ((a << 24) | (b << 16) | (c << 8) | d) >>> 0, ...train }
}

/** Of a direct frame; undefined if it is none. */
export function decodeDirect({ type, bytes }: RawFrame): Train | undefined {
  return type === FRAME.direct ? segmentsAt(bytes, FRAME_HEADER_BYTES) : undefined
}

export function bodyOf({ bytes }: RawFrame): Uint8Array {
  return bytes.subarray(FRAME_HEADER_BYTES)
}

function wholeAt(bytes: Uint8Array, start: number): Train | undefined {
  const messages = bytes.subarray(start)
  return messages.length === 0 ? undefined : { segmentBytes: messages.length, messages }
}

function segmentsAt(bytes: Uint8Array, start: number): Train | undefined {
  const messages = bytes.subarray(start + SEGMENT_SIZE_BYTES)
  const segmentBytes = ((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0)
  return messages.length === 0 || segmentBytes === 0 ? undefined : { segmentBytes, messages }
}

/** Every message is long enough for transport data and begins like it; so there are 2047 of them at most. */
function isTransport({ segmentBytes, messages }: Train): boolean {
  for (let at = 0; at < messages.length; at += segmentBytes) {
    if (messages.length - at < KEEPALIVE_BYTES || readUint32Le(messages, at) !== MESSAGE_TRANSPORT)
      return false
  }
  return segmentBytes >= KEEPALIVE_BYTES
}
