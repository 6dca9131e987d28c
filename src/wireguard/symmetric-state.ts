/**
 * Chaining key C and hash H of a running handshake, and the only ways to change them (paper section
 * 5.4; the "symmetric state" of Noise).
 *
 * INVARIANT: it works on its own copies. A handshake step starts from a transcript, and on failure
 * the copy is thrown away: the transcript it started from was never touched.
 */

import { wipe } from '../base/bytes.js'
import type { Crypto } from './crypto.js'
import { kdf1, kdf2, kdf3 } from './kdf.js'

/** What a handshake remembers between two messages. Secret. */
export interface Transcript {
  readonly chainingKey: Uint8Array
  readonly hash: Uint8Array
}

export class SymmetricState {
  readonly #crypto: Crypto
  #chainingKey: Uint8Array
  #hash: Uint8Array

  constructor(crypto: Crypto, start: Transcript) {
    this.#crypto = crypto
    this.#chainingKey = new Uint8Array(start.chainingKey)
    this.#hash = new Uint8Array(start.hash)
  }

  /** H := HASH(H ‖ data) */
  mixHash(data: Uint8Array): void {
    this.#hash = this.#crypto.hash(this.#hash, data)
  }

  /** C := KDF1(C, input) */
  mixKey(input: Uint8Array): void {
    this.#setChainingKey(kdf1(this.#crypto, this.#chainingKey, input))
  }

  /** (C, κ) := KDF2(C, input); gives κ. */
  mixKeyAndDerive(input: Uint8Array): Uint8Array {
    const [chainingKey, key] = kdf2(this.#crypto, this.#chainingKey, input)
    this.#setChainingKey(chainingKey)
    return key
  }

  /** (C, τ, κ) := KDF3(C, Q), H := HASH(H ‖ τ); gives κ. */
  mixPresharedKey(presharedKey: Uint8Array): Uint8Array {
    const [chainingKey, t, key] = kdf3(this.#crypto, this.#chainingKey, presharedKey)
    this.#setChainingKey(chainingKey)
    this.mixHash(t)
    wipe(t)
    return key
  }

  /** field := AEAD(κ, 0, plaintext, H), H := HASH(H ‖ field); gives the field and wipes κ. */
  seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const sealed = this.#crypto.seal(key, 0, plaintext, this.#hash)
    wipe(key)
    this.mixHash(sealed)
    return sealed
  }

  /** The reverse of `seal`: undefined if authentication fails. Wipes κ. */
  open(key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const plaintext = this.#crypto.open(key, 0, sealed, this.#hash)
    wipe(key)
    if (plaintext !== undefined) this.mixHash(sealed)
    return plaintext
  }

  /** KDF2(C, ε): the two transport keys, that of the initiator's direction first. */
  split(): [Uint8Array, Uint8Array] {
    return kdf2(this.#crypto, this.#chainingKey, new Uint8Array(0))
  }

  /** Hands the values over; the object is not to be used or wiped afterwards. */
  release(): Transcript {
    return { chainingKey: this.#chainingKey, hash: this.#hash }
  }

  wipe(): void {
    wipe(this.#chainingKey, this.#hash)
  }

  #setChainingKey(chainingKey: Uint8Array): void {
    wipe(this.#chainingKey)
    this.#chainingKey = chainingKey
  }
}
