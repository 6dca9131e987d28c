/**
 * Identity keys: Ed25519 (RFC 8032). A node is its identity key; the hub and every relay have one too.
 *
 * One of the few files that may import `node:crypto`: it verifies in a tenth of the time that TypeScript
 * takes, and a hub verifies for all of its nodes.
 */

import { sign, verify } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { concatBytes, formatBase64, tryParseBase64 } from '../base/bytes.js'
import type { Crypto, DhPrivateKey } from '../wireguard/crypto.js'
import { importPrivateKey, importPublicKey, publicBytesOf } from '../wireguard/curve-keys.js'
import { keyFromBytes, type PublicKey } from '../wireguard/keys.js'

export const IDENTITY_KEY_BYTES = 32
const SIGNATURE_BYTES = 64

export interface Identity {
  readonly publicKey: Uint8Array
  /** In base64: what messages, files and maps hold. */
  readonly text: string
  /** Of 64 bytes. `label`: what is signed, so that no signature can pass for one of another kind. */
  sign(label: string, ...parts: readonly Uint8Array[]): Uint8Array
  /** The same key as a static key of Noise sessions; peers know its public half by `sessionKeyOf`. */
  sessionKey(crypto: Crypto): DhPrivateKey
}

/** `seed`: 32 random bytes; the secret. */
export function identityFromSeed(seed: Uint8Array): Identity {
  const privateKey = importPrivateKey('Ed25519', seed)
  const publicKey = publicBytesOf(privateKey)
  const sessionSecret = ed25519.utils.toMontgomerySecret(seed)
  return {
    publicKey,
    text: formatBase64(publicKey),
    sign: (label, ...parts) => new Uint8Array(sign(null, labelled(label, parts), privateKey)),
    sessionKey: (crypto) => crypto.dhPrivateKey(sessionSecret),
  }
}

/**
 * The static key of sessions with the owner of an identity: the same point in the other form of the curve
 * (RFC 7748 section 4.1), so that one pinned key is enough. Undefined if `identity` is no point of the curve.
 */
export function sessionKeyOf(identity: Uint8Array): PublicKey | undefined {
  if (identity.length !== IDENTITY_KEY_BYTES) return undefined
  try {
    return keyFromBytes<PublicKey>(ed25519.utils.toMontgomery(identity))
  } catch {
    return undefined // noble throws if the bytes are no point of the curve
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
