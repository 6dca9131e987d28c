/**
 * The long-lived keys between us and one peer: what every handshake starts from.
 *
 * Either side may be changing its static key: for a while it is known by the previous one as well. So there
 * are up to four secrets of static keys, each computed when it is first needed.
 */

import { equalBytes, isZero, wipe } from '../base/bytes.js'
import { KEY_BYTES } from './constants.js'
import type { DhPrivateKey } from './crypto.js'
import { keyFromBytes, type PresharedKey, type PublicKey } from './keys.js'

/** Static keys of ours. */
export interface OwnKeys {
  readonly current: DhPrivateKey
  /** Peers may know us by this one still. */
  readonly previous: DhPrivateKey | undefined
}

interface StaticSecret {
  readonly own: DhPrivateKey
  readonly remote: PublicKey
  readonly bytes: Uint8Array
}

const NO_PRESHARED_KEY = new Uint8Array(KEY_BYTES)

export class PeerKeys {
  #publicKey: PublicKey
  #previousKey: PublicKey | undefined
  #presharedKey: PresharedKey | undefined
  #own: OwnKeys | undefined
  #secrets: readonly StaticSecret[] = []

  constructor(publicKey: PublicKey) {
    this.#publicKey = publicKey
  }

  get publicKey(): PublicKey {
    return this.#publicKey
  }

  /** Another public key that the peer is known by, as long as it changes them. */
  get previousKey(): PublicKey | undefined {
    return this.#previousKey
  }

  get presharedKey(): PresharedKey | undefined {
    return this.#presharedKey
  }

  /** As the handshake takes it: all zero if there is none. */
  get psk(): Uint8Array {
    return this.#presharedKey ?? NO_PRESHARED_KEY
  }

  get own(): OwnKeys | undefined {
    return this.#own
  }

  /** An order of the two that both sides see alike. */
  get isOursLess(): boolean {
    const ours = this.#own?.current.publicKey
    const at = ours?.findIndex((byte, i) => byte !== this.#publicKey[i]) ?? -1
    return ours !== undefined && at >= 0 && (ours[at] as number) < (this.#publicKey[at] as number)
  }

  /** DH of the two; undefined if either key is none of these, or the remote one is of low order. */
  staticStatic(own: DhPrivateKey, remote: PublicKey): Uint8Array | undefined {
    if (!this.#isOwn(own) || !this.#isRemote(remote)) return undefined
    const known = this.#secrets.find((secret) => secret.own === own && equalBytes(secret.remote, remote))
    if (known !== undefined) return known.bytes
    const bytes = own.sharedSecret(remote)
    if (bytes !== undefined) this.#secrets = [...this.#secrets, { own, remote, bytes }]
    return bytes
  }

  setOwn(own: OwnKeys | undefined): void {
    this.#own = own
    this.#dropSecrets()
  }

  setRemote(publicKey: PublicKey, previousKey: PublicKey | undefined): void {
    this.#publicKey = publicKey
    this.#previousKey = previousKey
    this.#dropSecrets()
  }

  /** Keeps a copy; `null` or all zero removes the key. Counts from the next handshake on. */
  setPresharedKey(presharedKey: PresharedKey | null): void {
    if (this.#presharedKey !== undefined) wipe(this.#presharedKey)
    const isNone = presharedKey === null || isZero(presharedKey)
    this.#presharedKey = isNone ? undefined : keyFromBytes(presharedKey.slice())
  }

  wipe(): void {
    this.setPresharedKey(null)
    this.setOwn(undefined)
  }

  #isOwn(key: DhPrivateKey): boolean {
    return key === this.#own?.current || key === this.#own?.previous
  }

  #isRemote(key: PublicKey): boolean {
    if (equalBytes(key, this.#publicKey)) return true
    return this.#previousKey !== undefined && equalBytes(key, this.#previousKey)
  }

  /** Those of keys that are none any more. */
  #dropSecrets(): void {
    const isKept = ({ own, remote }: StaticSecret): boolean => this.#isOwn(own) && this.#isRemote(remote)
    for (const secret of this.#secrets) if (!isKept(secret)) wipe(secret.bytes)
    this.#secrets = this.#secrets.filter(isKept)
  }
}
