/**
 * Raw bytes of Curve25519 keys ↔ key objects of `node:crypto` (RFC 8037 for JWK, RFC 8410 for DER).
 *
 * Public keys go by way of JWK, the fastest on every Node. Private keys are the one place where Node's
 * versions differ: see `importPrivateKey`.
 */

import { Buffer } from 'node:buffer'
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'

export type Curve = 'X25519' | 'Ed25519'

/** What stands before the 32 bytes in a PKCS #8 file (RFC 8410 §7). */
const PKCS8_PREFIX: Readonly<Record<Curve, Uint8Array>> = {
  X25519: new Uint8Array(Buffer.from('302e020100300506032b656e04220420', 'hex')),
  Ed25519: new Uint8Array(Buffer.from('302e020100300506032b657004220420', 'hex')),
}

/** How this Node takes private keys; found with the first. */
let importer: ((curve: Curve, bytes: Uint8Array) => KeyObject) | undefined

/**
 * `bytes`: 32, the secret of either curve.
 *
 * JWK demands the public half beside the secret one. Node up to 22 does not look at it, and on Node 20 DER
 * takes ten times as long (a handshake has an ephemeral key). Node 24 refuses what does not match, and
 * takes DER as fast. Probed rather than read from a version, because the change may come to older lines.
 */
export function importPrivateKey(curve: Curve, bytes: Uint8Array): KeyObject {
  importer ??= chooseImporter()
  return importer(curve, bytes)
}

/** `bytes`: 32. Throws what node throws for bytes that are no key. */
export function importPublicKey(curve: Curve, bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: curve, x: base64url(bytes) }, format: 'jwk' })
}

/** 32 bytes. */
export function publicBytesOf(privateKey: KeyObject): Uint8Array {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  return new Uint8Array(Buffer.from(x, 'base64url'))
}

function chooseImporter(): (curve: Curve, bytes: Uint8Array) => KeyObject {
  try {
    importByJwk('X25519', new Uint8Array(32).fill(1))
    return importByJwk
  } catch {
    return importByDer
  }
}

function importByJwk(curve: Curve, bytes: Uint8Array): KeyObject {
  return createPrivateKey({ key: { kty: 'OKP', crv: curve, x: '', d: base64url(bytes) }, format: 'jwk' })
}

function importByDer(curve: Curve, bytes: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_PREFIX[curve], bytes])
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } finally {
    der.fill(0)
  }
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url')
}
