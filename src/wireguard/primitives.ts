/** What both cryptographic providers share: clamped scalars and the counter nonce. */

import type { PrivateKey } from './keys.js'
import { keyFromBytes } from './keys.js'

const NONCE_BYTES = 12 // RFC 8439 section 2.8

/** A clamped copy (RFC 7748 section 5). `bytes`: 32. */
export function clampPrivateKey(bytes: Uint8Array): PrivateKey {
  const clamped = new Uint8Array(bytes)
  clamped[0] = (clamped[0] as number) & 0xf8
  clamped[31] = ((clamped[31] as number) & 0x7f) | 0x40
  return keyFromBytes<PrivateKey>(clamped)
}

/** 4 zero bytes and the counter as 8 bytes little-endian (paper section 5.4). `counter`: up to 2^53 - 1. */
export function counterNonce(counter: number): Uint8Array {
  const nonce = new Uint8Array(NONCE_BYTES)
  writeCounterNonce(nonce, Math.floor(counter / 2 ** 32), counter >>> 0)
  return nonce
}

export function writeCounterNonce(nonce: Uint8Array, high: number, low: number): void {
  nonce[4] = low
  nonce[5] = low >>> 8
  nonce[6] = low >>> 16
  nonce[7] = low >>> 24
  nonce[8] = high
  nonce[9] = high >>> 8
  nonce[10] = high >>> 16
  nonce[11] = high >>> 24
}
