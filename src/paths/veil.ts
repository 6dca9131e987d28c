/**
 * STUN for networks that know STUN and drop it: the same message, so masked that no two look alike. It hides nothing
 * from anybody who knows this file.
 *
 * | magic 4 | mask 4, random | message, each byte XORed with the mask's at the same place modulo 4 |
 *
 * An answer bears the mask of its question, so it is not longer if its message is not.
 */

import { equalBytes } from '../base/bytes.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import { isStun } from './stun.js'

/** No type of WireGuard's, no STUN, and not that of probes. */
const MAGIC = Uint8Array.of(0x6f, 0x76, 0x7e, 0xa5)
const MASK_BYTES = 4
const HEADER_BYTES: number = MAGIC.length + MASK_BYTES

export function veil(message: Uint8Array, random: RandomBytes): Uint8Array {
  return veilWith(message, random(MASK_BYTES))
}

/** `question`: veiled; the answer is masked as it was. */
export function veilAnswer(message: Uint8Array, question: Uint8Array): Uint8Array {
  return veilWith(message, question.subarray(MAGIC.length, HEADER_BYTES))
}

/** The message of STUN in it; undefined if there is none. */
export function tryUnveil(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length <= HEADER_BYTES || !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) return undefined
  const message = masked(bytes.subarray(HEADER_BYTES), bytes.subarray(MAGIC.length, HEADER_BYTES))
  return isStun(message) ? message : undefined
}

function veilWith(message: Uint8Array, mask: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + message.length)
  bytes.set(MAGIC)
  bytes.set(mask, MAGIC.length)
  bytes.set(masked(message, mask), HEADER_BYTES)
  return bytes
}

function masked(bytes: Uint8Array, mask: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => byte ^ (mask[i % MASK_BYTES] as number))
}
