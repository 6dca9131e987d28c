/**
 * Which addresses a network may take. A hub chooses them, and whoever holds its key could choose addresses of
 * others: a node routes into the tunnel what it is told. So a node takes by itself only what nobody reaches
 * through the internet and hardly anybody uses at home; every other private range a person has to confirm.
 */

import { ipFromBytes } from './ip.js'
import { type Prefix, prefixCovers, tryParsePrefix } from './prefix.js'

/** 100.64.0.0/10 (RFC 6598). */
export const SHARED_RANGE: Prefix = { address: ipFromBytes(Uint8Array.of(100, 64, 0, 0)), bits: 10 }
/** RFC 1918. */
const PRIVATE_RANGES: readonly Prefix[] = [
  { address: ipFromBytes(Uint8Array.of(10, 0, 0, 0)), bits: 8 },
  { address: ipFromBytes(Uint8Array.of(172, 16, 0, 0)), bits: 12 },
  { address: ipFromBytes(Uint8Array.of(192, 168, 0, 0)), bits: 16 },
]
/** Unique local addresses that are made at random (RFC 4193). */
const LOCAL_RANGE6: Prefix = { address: ipFromBytes(Uint8Array.of(0xfd, ...new Uint8Array(15))), bits: 8 }
/** A network of a few nodes at least, and none larger than what leases are looked for in. */
const MAX_BITS = 28

export const RANGE_WORDS = 'a private IPv4 range, such as 100.80.0.0/16 or 10.80.0.0/16'

/** Host bits are zero. Undefined for what no network may have. */
export function tryParseRange(text: string): Prefix | undefined {
  const prefix = tryParsePrefix(text)
  if (prefix === undefined || prefix.bits > MAX_BITS || hasHostBits(prefix)) return undefined
  return [SHARED_RANGE, ...PRIVATE_RANGES].some((range) => prefixCovers(range, prefix)) ? prefix : undefined
}

/** Whether a node takes `range` of a hub. `confirmed`: what a person said yes to, if anything. */
export function isRangeAllowed(range: Prefix, confirmed: Prefix | undefined): boolean {
  const wide = range.address.family === 6 ? LOCAL_RANGE6 : (confirmed ?? SHARED_RANGE)
  return prefixCovers(wide, range)
}

function hasHostBits({ address, bits }: Prefix): boolean {
  return address.bytes.some((byte, i) => (byte & (0xff >> Math.min(8, Math.max(0, bits - 8 * i)))) !== 0)
}
