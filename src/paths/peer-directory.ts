/**
 * Peers by each of their keys, and by the tags of the datagrams that they may send. A key belongs to one peer: to
 * the one whose current key it is.
 */

import { formatHex } from '../base/bytes.js'
import type { PublicKey } from '../wireguard/keys.js'
import type { OwnKeys } from '../wireguard/peer-keys.js'
import type { DiscoPair } from './disco-pair.js'

export interface DirectoryEntry {
  publicKey: PublicKey
  /** The peer may still use it. */
  previousKey: PublicKey | undefined
  readonly pair: DiscoPair
}

export class PeerDirectory<E extends DirectoryEntry> {
  readonly #byKey = new Map<string, E>()
  readonly #byPreviousKey = new Map<string, E>()
  readonly #byTag = new Map<string, E>()

  get size(): number {
    return this.#byKey.size
  }

  get all(): Iterable<E> {
    return this.#byKey.values()
  }

  get(publicKey: PublicKey): E | undefined {
    return this.#byKey.get(formatHex(publicKey))
  }

  /** By any key: whoever asks may not have heard of a change yet. */
  find(publicKey: PublicKey): E | undefined {
    return this.get(publicKey) ?? this.#byPreviousKey.get(formatHex(publicKey))
  }

  findByTag(tag: string): E | undefined {
    return this.#byTag.get(tag)
  }

  /** Under its keys as they are. A previous one that is another peer's is left out. */
  enter(entry: E, own: OwnKeys): void {
    const { publicKey, previousKey, pair } = entry
    if (previousKey !== undefined && this.find(previousKey) !== undefined) entry.previousKey = undefined
    pair.setKeys(own, publicKey, entry.previousKey)
    this.#byKey.set(formatHex(publicKey), entry)
    if (entry.previousKey !== undefined) this.#byPreviousKey.set(formatHex(entry.previousKey), entry)
    for (const tag of pair.remoteTags) this.#byTag.set(tag, entry)
  }

  /** Before its keys change, or for good. */
  leave(entry: E): void {
    const { publicKey, previousKey, pair } = entry
    this.#byKey.delete(formatHex(publicKey))
    if (previousKey !== undefined) this.#byPreviousKey.delete(formatHex(previousKey))
    for (const tag of pair.remoteTags) if (this.#byTag.get(tag) === entry) this.#byTag.delete(tag)
  }
}
