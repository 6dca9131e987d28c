/**
 * The one narrow door to cryptographic primitives. Protocol code sees this interface only.
 *
 * Two providers: crypto-noble.ts (pure TypeScript; oracle and fallback) and crypto-node.ts
 * (`node:crypto` where measurement shows that it pays; noble for the rest). Tests prove them equal.
 */

import type { PrivateKey, PublicKey } from './keys.js'

/** A private key made ready for many Diffie-Hellman operations. */
export interface DhPrivateKey {
  readonly publicKey: PublicKey
  /** Undefined after `wipe`, or if the result is all zero (a low-order point; RFC 7748 section 6.1). */
  sharedSecret(remote: PublicKey): Uint8Array | undefined
  /** The clamped 32 bytes; wiped by `wipe`. */
  readonly bytes: PrivateKey
  wipe(): void
}

/** ChaCha20-Poly1305 (RFC 8439) under one key. */
export interface Aead {
  /**
   * Seals `length` bytes at `buffer[offset]` in place and puts the 16-byte tag behind them. The
   * nonce is 4 zero bytes and the 64-bit counter `high × 2^32 + low`, little-endian.
   */
  sealInPlace(
    buffer: Uint8Array,
    offset: number,
    length: number,
    counterHigh: number,
    counterLow: number,
  ): void
  /** Opens `length` bytes (tag included) in place; false leaves no promise about the bytes. */
  openInPlace(
    buffer: Uint8Array,
    offset: number,
    length: number,
    counterHigh: number,
    counterLow: number,
  ): boolean
  wipe(): void
}

export interface Crypto {
  readonly name: 'noble' | 'node'
  /** `bytes`: 32, clamped here. */
  dhPrivateKey(bytes: Uint8Array): DhPrivateKey
  /** BLAKE2s-256 (RFC 7693) of the parts in order. */
  hash(...parts: readonly Uint8Array[]): Uint8Array
  /** Keyed BLAKE2s with 16 bytes of output: the paper's Mac. `key`: 16 or 32 bytes. */
  mac(key: Uint8Array, input: Uint8Array): Uint8Array
  /** HMAC with BLAKE2s-256. */
  hmac(key: Uint8Array, input: Uint8Array): Uint8Array
  /** ChaCha20-Poly1305 with the paper's 64-bit counter nonce; result is plaintext + 16 bytes. */
  seal(key: Uint8Array, counter: number, plaintext: Uint8Array, associatedData: Uint8Array): Uint8Array
  /** Undefined if authentication fails. */
  open(
    key: Uint8Array,
    counter: number,
    sealed: Uint8Array,
    associatedData: Uint8Array,
  ): Uint8Array | undefined
  /** XChaCha20-Poly1305, `nonce`: 24 bytes. */
  xseal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associatedData: Uint8Array): Uint8Array
  xopen(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    associatedData: Uint8Array,
  ): Uint8Array | undefined
  /** Data path AEAD without associated data. */
  aead(key: Uint8Array): Aead
}

/** Cryptographically secure random bytes; injected so that tests can be repeated. */
export type RandomBytes = (length: number) => Uint8Array
