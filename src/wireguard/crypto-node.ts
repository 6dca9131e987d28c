/**
 * The cryptographic provider over `node:crypto`, for everything it does faster than TypeScript can.
 *
 * Keyed BLAKE2s and XChaCha20-Poly1305 come from crypto-noble.ts: OpenSSL has no XChaCha, and
 * `createHash` ignores a BLAKE2 key without saying so. Beside curve-keys.ts the only file here that may import `node:crypto`.
 */

import type { Buffer } from 'node:buffer'
import {
  type CipherChaCha20Poly1305Types,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  diffieHellman,
  type KeyObject,
} from 'node:crypto'
import { wipe } from '../base/bytes.js'
import { KEY_BYTES, TAG_BYTES } from './constants.js'
import type { Aead, Crypto, DhPrivateKey } from './crypto.js'
import { nobleCrypto } from './crypto-noble.js'
import { importPrivateKey, importPublicKey, publicBytesOf } from './curve-keys.js'
import { keyFromBytes, type PrivateKey, type PublicKey } from './keys.js'
import { clampPrivateKey, counterNonce, writeCounterNonce } from './primitives.js'

const BLAKE2S = 'blake2s256'
const CHACHA20_POLY1305: CipherChaCha20Poly1305Types = 'chacha20-poly1305'
const TAG_OPTIONS = { authTagLength: TAG_BYTES } as const

export const nodeCrypto: Crypto = {
  name: 'node',
  dhPrivateKey: (bytes) => new NodeDhPrivateKey(clampPrivateKey(bytes)),
  hash,
  mac: nobleCrypto.mac,
  hmac: (key, input) => plain(createHmac(BLAKE2S, key).update(input).digest()),
  seal,
  open,
  xseal: nobleCrypto.xseal,
  xopen: nobleCrypto.xopen,
  aead: (key) => new NodeAead(key),
}

/** Without the Buffer type: its `slice` shares memory, where that of Uint8Array copies. */
function plain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

function hash(...parts: readonly Uint8Array[]): Uint8Array {
  const blake2s = createHash(BLAKE2S)
  for (const part of parts) blake2s.update(part)
  return plain(blake2s.digest())
}

function seal(
  key: Uint8Array,
  counter: number,
  plaintext: Uint8Array,
  associatedData: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv(CHACHA20_POLY1305, key, counterNonce(counter), TAG_OPTIONS)
  cipher.setAAD(associatedData, { plaintextLength: plaintext.length })
  const sealed = new Uint8Array(plaintext.length + TAG_BYTES)
  sealed.set(cipher.update(plaintext), 0)
  cipher.final()
  sealed.set(cipher.getAuthTag(), plaintext.length)
  return sealed
}

function open(
  key: Uint8Array,
  counter: number,
  sealed: Uint8Array,
  associatedData: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES) return undefined
  const end = sealed.length - TAG_BYTES
  const decipher = createDecipheriv(CHACHA20_POLY1305, key, counterNonce(counter), TAG_OPTIONS)
  decipher.setAAD(associatedData, { plaintextLength: end })
  decipher.setAuthTag(sealed.subarray(end))
  const plaintext = decipher.update(sealed.subarray(0, end))
  try {
    decipher.final()
    return plain(plaintext)
  } catch {
    return undefined // node throws if the tag is wrong
  }
}

class NodeDhPrivateKey implements DhPrivateKey {
  readonly bytes: PrivateKey
  readonly publicKey: PublicKey
  #key: KeyObject | undefined

  /** `bytes`: clamped; handed over. */
  constructor(bytes: PrivateKey) {
    this.bytes = bytes
    const key = importPrivateKey('X25519', bytes)
    this.#key = key
    this.publicKey = keyFromBytes<PublicKey>(publicBytesOf(key))
  }

  sharedSecret(remote: PublicKey): Uint8Array | undefined {
    const privateKey = this.#key
    if (privateKey === undefined || remote.length !== KEY_BYTES) return undefined
    const publicKey = importPublicKey('X25519', remote)
    try {
      return plain(diffieHellman({ privateKey, publicKey }))
    } catch {
      return undefined // node throws if the result is all zero
    }
  }

  /** A key object cannot be overwritten: OpenSSL clears it when the collector frees it. */
  wipe(): void {
    wipe(this.bytes)
    this.#key = undefined
  }
}

class NodeAead implements Aead {
  readonly #key: Uint8Array
  readonly #nonce: Uint8Array = counterNonce(0)

  constructor(key: Uint8Array) {
    this.#key = new Uint8Array(key)
  }

  sealInPlace(buffer: Uint8Array, offset: number, length: number, high: number, low: number): void {
    writeCounterNonce(this.#nonce, high, low)
    const cipher = createCipheriv(CHACHA20_POLY1305, this.#key, this.#nonce, TAG_OPTIONS)
    buffer.set(cipher.update(buffer.subarray(offset, offset + length)), offset)
    cipher.final()
    buffer.set(cipher.getAuthTag(), offset + length)
  }

  openInPlace(buffer: Uint8Array, offset: number, length: number, high: number, low: number): boolean {
    if (length < TAG_BYTES) return false
    const end = offset + length - TAG_BYTES
    writeCounterNonce(this.#nonce, high, low)
    const decipher = createDecipheriv(CHACHA20_POLY1305, this.#key, this.#nonce, TAG_OPTIONS)
    decipher.setAuthTag(buffer.subarray(end, end + TAG_BYTES))
    const plaintext = decipher.update(buffer.subarray(offset, end))
    try {
      decipher.final()
    } catch {
      return false // node throws if the tag is wrong
    }
    buffer.set(plaintext, offset)
    return true
  }

  wipe(): void {
    wipe(this.#key)
  }
}
