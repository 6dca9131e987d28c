/**
 * The change of a hub's signing key: the old key says which the next is, and until when itself counts. A relay
 * that knows the old one learns the new one by it.
 *
 * | offset | size | field |
 * | 0 | 32 | the next key |
 * | 32 | 8 | seconds since 1970 until which the old key counts, big-endian |
 * | 40 | 64 | signature by the old key |
 */

import { concatBytes } from '../base/bytes.js'
import { IDENTITY_KEY_BYTES, type Identity, isSignedBy } from './identity.js'

const LABEL = 'overlay hub key succession v1'
const SIGNED_BYTES: number = IDENTITY_KEY_BYTES + 8
export const SUCCESSION_BYTES: number = SIGNED_BYTES + 64

export interface Succession {
  readonly key: Uint8Array
  readonly untilS: number
}

export function createSuccession(old: Identity, { key, untilS }: Succession): Uint8Array {
  const body = new Uint8Array(SIGNED_BYTES)
  body.set(key)
  new DataView(body.buffer).setBigUint64(IDENTITY_KEY_BYTES, BigInt(untilS))
  return concatBytes(body, old.sign(LABEL, body))
}

/** Undefined if the old key did not sign that. */
export function tryOpenSuccession(oldKey: Uint8Array, bytes: Uint8Array): Succession | undefined {
  if (bytes.length !== SUCCESSION_BYTES) return undefined
  const body = bytes.subarray(0, SIGNED_BYTES)
  if (!isSignedBy(oldKey, bytes.subarray(SIGNED_BYTES), LABEL, body)) return undefined
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  return { key: body.slice(0, IDENTITY_KEY_BYTES), untilS: Number(view.getBigUint64(IDENTITY_KEY_BYTES)) }
}
