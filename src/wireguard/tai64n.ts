/**
 * TAI64N timestamps of initiations (paper section 5.1): 8 bytes of seconds and 4 of nanoseconds,
 * both big-endian, so that their order is that of the bytes.
 *
 * Nanoseconds are rounded down to a multiple of 2^24 (about 17 ms): the clock of a host is nobody's
 * business in more detail, and faster initiations are dropped anyhow (INITIATION_MIN_INTERVAL_MS).
 */

import { TIMESTAMP_BYTES } from './constants.js'

/** TAI64 label of 1970-01-01 00:00:00 TAI is 2^62; TAI was 10 s ahead of UTC when it was defined. */
const LABEL_HIGH = 0x40000000
const TAI_OFFSET_S = 10
const QUANTUM_NS = 2 ** 24
const NS_PER_S = 1_000_000_000

interface TaiTime {
  /** TAI, since 1970. */
  readonly seconds: number
  /** A multiple of QUANTUM_NS. */
  readonly nanoseconds: number
}

/** `wallMs`: ms since 1970, may have a fraction; times before 1970 become 1970. */
export function encodeTai64n(wallMs: number): Uint8Array {
  return encodeTaiTime(taiTimeOf(wallMs))
}

/** Whether timestamp `a` is later than `b`. */
export function isLaterTai64n(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < TIMESTAMP_BYTES; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference > 0
  }
  return false
}

/** Whole seconds from `earlier` to `later`. */
export function secondsBetweenTai64n(earlier: Uint8Array, later: Uint8Array): number {
  return Number(labelOf(later) - labelOf(earlier))
}

function labelOf(timestamp: Uint8Array): bigint {
  return new DataView(timestamp.buffer, timestamp.byteOffset).getBigUint64(0)
}

/** Timestamps for the initiations of one device. INVARIANT: each is later than the one before. */
export class Tai64nClock {
  #last: TaiTime = { seconds: 0, nanoseconds: 0 }

  next(wallMs: number): Uint8Array {
    const now = taiTimeOf(wallMs)
    this.#last = isLater(now, this.#last) ? now : oneQuantumAfter(this.#last)
    return encodeTaiTime(this.#last)
  }
}

function taiTimeOf(wallMs: number): TaiTime {
  const sinceEpochMs = Math.max(0, wallMs)
  const nanoseconds = Math.floor((sinceEpochMs % 1000) * 1e6)
  return {
    seconds: Math.floor(sinceEpochMs / 1000) + TAI_OFFSET_S,
    nanoseconds: nanoseconds - (nanoseconds % QUANTUM_NS),
  }
}

function isLater(a: TaiTime, b: TaiTime): boolean {
  return a.seconds === b.seconds ? a.nanoseconds > b.nanoseconds : a.seconds > b.seconds
}

function oneQuantumAfter(time: TaiTime): TaiTime {
  const nanoseconds = time.nanoseconds + QUANTUM_NS
  return nanoseconds < NS_PER_S
    ? { seconds: time.seconds, nanoseconds }
    : { seconds: time.seconds + 1, nanoseconds: 0 }
}

function encodeTaiTime(time: TaiTime): Uint8Array {
  const bytes = new Uint8Array(TIMESTAMP_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, LABEL_HIGH + Math.floor(time.seconds / 2 ** 32))
  view.setUint32(4, time.seconds >>> 0)
  view.setUint32(8, time.nanoseconds)
  return bytes
}
