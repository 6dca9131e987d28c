/**
 * The sealed envelope of a probe, under the key of one pair of tunnel keys: see the table in disco.ts.
 *
 * Key κ = KDF1("overlay disco v1", DH(tunnel keys)); the sender's tag is Mac(κ, its public key), cut to 8 bytes.
 */

import { concatBytes, formatHex } from '../base/bytes.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../wireguard/crypto.js'
import { kdf1 } from '../wireguard/kdf.js'
import type { PublicKey } from '../wireguard/keys.js'

export const MAGIC: Uint8Array = Uint8Array.of(0x6f, 0x76, 0x6c, 0x01)
export const TAG_END = 12
const NONCE_END = 36
const SEAL_TAG_BYTES = 16
/** Of a datagram with nothing in it. */
export const ENVELOPE_BYTES: number = NONCE_END + SEAL_TAG_BYTES
const LABEL = new TextEncoder().encode('overlay disco v1')

/** Costs one Diffie-Hellman to make. */
export class DiscoKey {
  readonly own: DhPrivateKey
  readonly remote: PublicKey
  /** As discoTagOf gives it for datagrams of the remote. */
  readonly remoteTag: string
  readonly #crypto: Crypto
  readonly #key: Uint8Array
  readonly #sendPrefix: Uint8Array

  private constructor(crypto: Crypto, own: DhPrivateKey, remote: PublicKey, key: Uint8Array) {
    this.own = own
    this.remote = remote
    this.#crypto = crypto
    this.#key = key
    this.#sendPrefix = concatBytes(MAGIC, tagOf(crypto, key, own.publicKey))
    this.remoteTag = formatHex(tagOf(crypto, key, remote))
  }

  /** Undefined for a remote key of low order. */
  static tryCreate(crypto: Crypto, own: DhPrivateKey, remote: PublicKey): DiscoKey | undefined {
    const secret = own.sharedSecret(remote)
    if (secret === undefined) return undefined
    const key = kdf1(crypto, LABEL, secret)
    secret.fill(0)
    return new DiscoKey(crypto, own, remote, key)
  }

  seal(plain: Uint8Array, random: RandomBytes): Uint8Array {
    const nonce = random(NONCE_END - TAG_END)
    const prefix = this.#sendPrefix
    return concatBytes(prefix, nonce, this.#crypto.xseal(this.#key, nonce, plain, prefix))
  }

  /** `bytes`: with the tag of the remote. Undefined if it is not authentic. */
  open(bytes: Uint8Array): Uint8Array | undefined {
    const nonce = bytes.subarray(TAG_END, NONCE_END)
    return this.#crypto.xopen(this.#key, nonce, bytes.subarray(NONCE_END), bytes.subarray(0, TAG_END))
  }

  wipe(): void {
    this.#key.fill(0)
  }
}

function tagOf(crypto: Crypto, key: Uint8Array, publicKey: PublicKey): Uint8Array {
  return crypto.mac(key, publicKey).subarray(0, TAG_END - MAGIC.length)
}
