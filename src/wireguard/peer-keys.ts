/** The long-lived keys between us and one peer: what every handshake starts from. */

import { isZero, wipe } from '../base/bytes.js'
import { KEY_BYTES } from './constants.js'
import type { DhPrivateKey } from './crypto.js'
import { keyFromBytes, type PresharedKey, type PublicKey } from './keys.js'

const NO_PRESHARED_KEY = new Uint8Array(KEY_BYTES)

export class PeerKeys {
  readonly #remoteStatic: PublicKey
  #presharedKey: PresharedKey | undefined
  #staticPrivate: DhPrivateKey | undefined
  #staticStatic: Uint8Array | undefined

  constructor(remoteStatic: PublicKey) {
    this.#remoteStatic = remoteStatic
  }

  get presharedKey(): PresharedKey | undefined {
    return this.#presharedKey
  }

  /** As the handshake takes it: all zero if there is none. */
  get psk(): Uint8Array {
    return this.#presharedKey ?? NO_PRESHARED_KEY
  }

  get staticPrivate(): DhPrivateKey | undefined {
    return this.#staticPrivate
  }

  /** DH(our static, their static); undefined without a key of ours or for a low-order key of theirs. */
  get staticStatic(): Uint8Array | undefined {
    return this.#staticStatic
  }

  /** An order of the two that both sides see alike. */
  get isOursLess(): boolean {
    const ours = this.#staticPrivate?.publicKey
    const at = ours?.findIndex((byte, i) => byte !== this.#remoteStatic[i]) ?? -1
    return ours !== undefined && at >= 0 && (ours[at] as number) < (this.#remoteStatic[at] as number)
  }

  setStaticPrivate(staticPrivate: DhPrivateKey | undefined): void {
    if (this.#staticStatic !== undefined) wipe(this.#staticStatic)
    this.#staticPrivate = staticPrivate
    this.#staticStatic = staticPrivate?.sharedSecret(this.#remoteStatic)
  }

  /** Keeps a copy; `null` or all zero removes the key. */
  setPresharedKey(presharedKey: PresharedKey | null): void {
    if (this.#presharedKey !== undefined) wipe(this.#presharedKey)
    const isNone = presharedKey === null || isZero(presharedKey)
    this.#presharedKey = isNone ? undefined : keyFromBytes(presharedKey.slice())
  }

  wipe(): void {
    this.setPresharedKey(null)
    this.setStaticPrivate(undefined)
  }
}
