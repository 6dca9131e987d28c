/**
 * Identity keys: Ed25519 (RFC 8032). A node is its identity key; the hub and every relay have one too.
 *
 * One of the few files that may import `node:crypto`: it verifies in a tenth of the time that TypeScript
 * takes, and a hub verifies for all of its nodes.
 */

import { sign, verify } from 'node:crypto'
import { concatBytes, formatBase64, tryParseBase64 } from '../base/bytes.js'
import { importPrivateKey, importPublicKey, publicBytesOf } from '../wireguard/curve-keys.js'

export const IDENTITY_KEY_BYTES = 32
const SIGNATURE_BYTES = 64

export interface Identity {
  readonly publicKey: Uint8Array
  /** In base64: what messages, files and maps hold. */
  readonly text: string
  /** Of 64 bytes. `label`: what is signed, so that no signature can pass for one of another kind. */
  sign(label: string, ...parts: readonly Uint8Array[]): Uint8Array
}

/** `seed`: 32 random bytes; the secret. */
export function identityFromSeed(seed: Uint8Array): Identity {
  const privateKey = importPrivateKey('Ed25519', seed)
  const publicKey = publicBytesOf(privateKey)
  return {
    publicKey,
    text: formatBase64(publicKey),
    sign: (label, ...parts) => new Uint8Array(sign(null, labelled(label, parts), privateKey)),
  }
}

/** Whether the owner of `publicKey` signed the parts under this label. */
export function isSignedBy(
  publicKey: Uint8Array,
  signature: Uint8Array,
  label: string,
  ...parts: readonly Uint8Array[]
): boolean {
  if (publicKey.length !== IDENTITY_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false
  try {
    return verify(null, labelled(label, parts), importPublicKey('Ed25519', publicKey), signature)
  } catch {
    return false // node throws if the bytes are no point of the curve
  }
}

/** Undefined if `text` is no key. */
export function tryParseIdentity(text: string): Uint8Array | undefined {
  const bytes = tryParseBase64(text)
  return bytes?.length === IDENTITY_KEY_BYTES ? bytes : undefined
}

function labelled(label: string, parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(new TextEncoder().encode(label), Uint8Array.of(0), ...parts)
}
