/** The static key of a device; while it changes, the previous one beside it. Each with what checks messages to it. */

import { equalBytes } from '../base/bytes.js'
import type { DeviceUpdate } from './configuration.js'
import { CookieChecker } from './cookie.js'
import type { Crypto, DhPrivateKey, RandomBytes } from './crypto.js'
import type { PrivateKey, PublicKey } from './keys.js'
import type { OwnKeys } from './peer-keys.js'

export interface StaticKey {
  readonly secret: DhPrivateKey
  readonly checker: CookieChecker
}

/**
 * - `same`: nothing changed
 * - `previous`: only the previous key did
 * - `succession`: another key follows on the one that is the previous one now
 * - `identity`: another key, or none, that has nothing to do with the one before
 */
export type StaticKeyChange = 'same' | 'previous' | 'succession' | 'identity'

export class StaticKeys {
  readonly #crypto: Crypto
  readonly #random: RandomBytes
  #current: StaticKey | undefined
  #previous: StaticKey | undefined

  constructor(crypto: Crypto, random: RandomBytes) {
    this.#crypto = crypto
    this.#random = random
  }

  get current(): DhPrivateKey | undefined {
    return this.#current?.secret
  }

  /** As peers take them; undefined without a current one. */
  get own(): OwnKeys | undefined {
    return this.#current && { current: this.#current.secret, previous: this.#previous?.secret }
  }

  has(publicKey: PublicKey): boolean {
    return [this.#current, this.#previous].some(
      (key) => key !== undefined && equalBytes(key.secret.publicKey, publicKey),
    )
  }

  /** The key that a handshake message was made for. A stranger's costs one keyed hash, or two while the key changes. */
  findFor(message: Uint8Array): StaticKey | undefined {
    return [this.#current, this.#previous].find((key) => key?.checker.isMac1Valid(message) === true)
  }

  /** The key there is already changes nothing: tools set it again with every change of a peer. */
  apply({ privateKey, previousPrivateKey }: DeviceUpdate): StaticKeyChange {
    const isSame = privateKey === undefined || this.#isCurrent(privateKey)
    if (!isSame && this.#isCurrent(previousPrivateKey)) {
      this.#previous?.secret.wipe()
      this.#previous = this.#current
      this.#current = this.#create(privateKey)
      return 'succession'
    }
    if (!isSame) {
      this.#current?.secret.wipe()
      this.#current = this.#create(privateKey)
    }
    if (!isSame || previousPrivateKey !== undefined) {
      this.#previous?.secret.wipe()
      this.#previous = this.#create(previousPrivateKey)
    }
    if (!isSame) return 'identity'
    return previousPrivateKey === undefined ? 'same' : 'previous'
  }

  #isCurrent(privateKey: PrivateKey | null | undefined): boolean {
    const key = this.#create(privateKey)?.secret
    const isSame =
      key !== undefined && this.current !== undefined && equalBytes(key.bytes, this.current.bytes)
    key?.wipe()
    return isSame
  }

  #create(privateKey: PrivateKey | null | undefined): StaticKey | undefined {
    if (privateKey === undefined || privateKey === null) return undefined
    const secret = this.#crypto.dhPrivateKey(privateKey)
    return { secret, checker: new CookieChecker(this.#crypto, this.#random, secret.publicKey) }
  }
}
