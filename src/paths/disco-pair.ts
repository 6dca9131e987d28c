/**
 * What one pair of nodes shares for its probes: one key, or up to four while tunnel keys change.
 *
 * Whoever changed its own key holds both, so to the remote one always sends under the newest key that is
 * known of it. Of our keys the one is used that the remote used last; until it has been heard, calls take
 * turns, because it may not know the new one yet.
 */

import { equalBytes } from '../base/bytes.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../wireguard/crypto.js'
import type { PublicKey } from '../wireguard/keys.js'
import type { OwnKeys } from '../wireguard/peer-keys.js'
import { type DiscoMessage, discoTagOf, encodeDisco, tryDecodeDisco } from './disco.js'
import { DiscoKey } from './disco-key.js'

/** Of a datagram: what an Ethernet carries. */
const MAX_DATAGRAM_BYTES = 1500

export class DiscoPair {
  readonly #crypto: Crypto
  #keys: readonly DiscoKey[]
  #remote: PublicKey
  /** Ours that the remote used last. */
  #heard: DhPrivateKey | undefined
  #turn = 0

  private constructor(crypto: Crypto, key: DiscoKey) {
    this.#crypto = crypto
    this.#keys = [key]
    this.#remote = key.remote
  }

  /** Undefined for a remote key of low order. */
  static tryCreate(crypto: Crypto, own: DhPrivateKey, remote: PublicKey): DiscoPair | undefined {
    const key = DiscoKey.tryCreate(crypto, own, remote)
    return key && new DiscoPair(crypto, key)
  }

  /** As discoTagOf gives them for datagrams of the remote. */
  get remoteTags(): readonly string[] {
    return this.#keys.map(({ remoteTag }) => remoteTag)
  }

  /** Costs one Diffie-Hellman for each pair that is new. Changes nothing if `remote` is of low order. */
  setKeys(own: OwnKeys, remote: PublicKey, previousRemote: PublicKey | undefined): void {
    const keys = [remote, previousRemote].flatMap((theirs) =>
      [own.current, own.previous].flatMap((ours) => this.#keyOf(ours, theirs) ?? []),
    )
    if (!keys.some((key) => equalBytes(key.remote, remote))) return
    for (const key of this.#keys) if (!keys.includes(key)) key.wipe()
    this.#keys = keys
    this.#remote = remote
    if (!keys.some((key) => key.own === this.#heard)) this.#heard = undefined
  }

  seal(message: DiscoMessage, random: RandomBytes): Uint8Array {
    const plain = encodeDisco(message)
    if (message.kind === 'call' && this.#heard === undefined) this.#turn += 1
    const candidates = this.#keys.filter(({ remote }) => equalBytes(remote, this.#remote))
    const inTurn = candidates[Math.max(0, this.#turn - 1) % candidates.length]
    const key = candidates.find(({ own }) => own === this.#heard) ?? inTurn
    if (key === undefined) throw new RangeError('a pair without a key')
    return key.seal(plain, random)
  }

  /** `bytes`: isDisco, with a tag of the remote. Undefined if it is not authentic or not understood. */
  open(bytes: Uint8Array): DiscoMessage | undefined {
    if (bytes.length > MAX_DATAGRAM_BYTES) return undefined
    const tag = discoTagOf(bytes)
    const key = this.#keys.find(({ remoteTag }) => remoteTag === tag)
    const plain = key?.open(bytes)
    if (key === undefined || plain === undefined) return undefined
    this.#heard = key.own
    return tryDecodeDisco(plain, bytes.length)
  }

  wipe(): void {
    for (const key of this.#keys) key.wipe()
  }

  #keyOf(own: DhPrivateKey | undefined, remote: PublicKey | undefined): DiscoKey | undefined {
    if (own === undefined || remote === undefined) return undefined
    const known = this.#keys.find((key) => key.own === own && equalBytes(key.remote, remote))
    return known ?? DiscoKey.tryCreate(this.#crypto, own, remote)
  }
}
