/**
 * The cryptographic provider in pure TypeScript, over the @noble packages.
 *
 * It is the oracle for crypto-node.ts and the fallback where `node:crypto` is not to be had. X25519
 * (RFC 7748), BLAKE2s (RFC 7693), HMAC (RFC 2104), ChaCha20-Poly1305 (RFC 8439) and
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha).
 */

import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { blake2s } from '@noble/hashes/blake2.js'
import { hmac } from '@noble/hashes/hmac.js'
import { concatBytes, isZero, wipe } from '../base/bytes.js'
import { MAC_BYTES, TAG_BYTES } from './constants.js'
import type { Aead, Crypto, DhPrivateKey } from './crypto.js'
import type { PrivateKey, PublicKey } from './keys.js'
import { clampPrivateKey, counterNonce, writeCounterNonce } from './primitives.js'

export const nobleCrypto: Crypto = {
  name: 'noble',
  dhPrivateKey: (bytes) => new NobleDhPrivateKey(clampPrivateKey(bytes)),
  hash: (...parts) => blake2s(parts.length === 1 ? (parts[0] as Uint8Array) : concatBytes(...parts)),
  mac: (key, input) => blake2s(input, { key, dkLen: MAC_BYTES }),
  hmac: (key, input) => hmac(blake2s, key, input),
  seal: (key, counter, plaintext, associatedData) =>
    chacha20poly1305(key, counterNonce(counter), associatedData).encrypt(plaintext),
  open: (key, counter, sealed, associatedData) =>
    tryDecrypt(chacha20poly1305(key, counterNonce(counter), associatedData), sealed),
  xseal: (key, nonce, plaintext, associatedData) =>
    xchacha20poly1305(key, nonce, associatedData).encrypt(plaintext),
  xopen: (key, nonce, sealed, associatedData) =>
    tryDecrypt(xchacha20poly1305(key, nonce, associatedData), sealed),
  aead: (key) => new NobleAead(key),
}

interface Decryptor {
  decrypt(sealed: Uint8Array, output?: Uint8Array): Uint8Array
}

function tryDecrypt(cipher: Decryptor, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES) return undefined
  try {
    return cipher.decrypt(sealed)
  } catch {
    return undefined // the library throws if the tag is wrong
  }
}

class NobleDhPrivateKey implements DhPrivateKey {
  readonly bytes: PrivateKey
  readonly publicKey: PublicKey

  /** `bytes`: clamped; handed over. */
  constructor(bytes: PrivateKey) {
    this.bytes = bytes
    this.publicKey = x25519.getPublicKey(bytes) as Uint8Array as PublicKey
  }

  sharedSecret(remote: PublicKey): Uint8Array | undefined {
    if (isZero(this.bytes)) return undefined // wiped: a clamped scalar is never zero
    try {
      return x25519.getSharedSecret(this.bytes, remote)
    } catch {
      return undefined // the library throws on points of low order
    }
  }

  wipe(): void {
    wipe(this.bytes)
  }
}

class NobleAead implements Aead {
  readonly #key: Uint8Array
  readonly #nonce: Uint8Array = counterNonce(0)

  constructor(key: Uint8Array) {
    this.#key = new Uint8Array(key)
  }

  sealInPlace(buffer: Uint8Array, offset: number, length: number, high: number, low: number): void {
    writeCounterNonce(this.#nonce, high, low)
    const plaintext = buffer.subarray(offset, offset + length)
    const output = buffer.subarray(offset, offset + length + TAG_BYTES)
    chacha20poly1305(this.#key, this.#nonce).encrypt(plaintext, output)
  }

  openInPlace(buffer: Uint8Array, offset: number, length: number, high: number, low: number): boolean {
    if (length < TAG_BYTES) return false
    writeCounterNonce(this.#nonce, high, low)
    const sealed = buffer.subarray(offset, offset + length)
    const output = buffer.subarray(offset, offset + length - TAG_BYTES)
    try {
      chacha20poly1305(this.#key, this.#nonce).decrypt(sealed, output)
      return true
    } catch {
      return false // the library throws if the tag is wrong
    }
  }

  wipe(): void {
    wipe(this.#key)
  }
}
