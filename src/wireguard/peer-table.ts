/**
 * The peers of a device by key and by slot, and who has which allowed IP. A key belongs to one peer.
 *
 * A prefix belongs to one peer at a time: given to another, it moves (paper section 2). Order of
 * peers and of a peer's prefixes is the order in which they were added.
 */

import { formatPrefix, maskPrefix, type Prefix } from '../net/prefix.js'
import type { AllowedIpChange } from './effects.js'
import { formatKeyHex, type PublicKey } from './keys.js'
import type { Peer } from './peer.js'

export class PeerTable {
  readonly #all = new Set<Peer>()
  readonly #byKey = new Map<string, Peer>()
  readonly #byPreviousKey = new Map<string, Peer>()
  readonly #bySlot: (Peer | undefined)[] = []
  readonly #freeSlots: number[] = []
  readonly #owners = new Map<string, Peer>()
  readonly #prefixes = new Map<Peer, Map<string, Prefix>>()
  /** Since they were taken last, by prefix: the last counts. */
  #allowedIpChanges = new Map<string, AllowedIpChange>()

  get size(): number {
    return this.#all.size
  }

  [Symbol.iterator](): Iterator<Peer> {
    return this.#all.values()
  }

  /** Who has which allowed IP now, and had not when this was called before. */
  takeAllowedIpChanges(): AllowedIpChange[] {
    const changes = [...this.#allowedIpChanges.values()]
    this.#allowedIpChanges = new Map()
    return changes
  }

  find(publicKey: PublicKey): Peer | undefined {
    return this.#byKey.get(formatKeyHex(publicKey))
  }

  /** Also by the previous key of a peer that changes its keys. */
  findByAnyKey(publicKey: PublicKey): Peer | undefined {
    const key = formatKeyHex(publicKey)
    return this.#byKey.get(key) ?? this.#byPreviousKey.get(key)
  }

  at(slot: number): Peer | undefined {
    return this.#bySlot[slot]
  }

  /** The lowest slot that was freed, else a new one. Taken by the `add` that follows. */
  freeSlot(): number {
    return this.#freeSlots.at(-1) ?? this.#bySlot.length
  }

  add(peer: Peer): void {
    if (this.#freeSlots.at(-1) === peer.slot) this.#freeSlots.pop()
    this.#all.add(peer)
    this.#byKey.set(formatKeyHex(peer.publicKey), peer)
    this.#bySlot[peer.slot] = peer
    this.#prefixes.set(peer, new Map())
  }

  /** `publicKey` is no other peer's. A previous key that is another's is left out. */
  setPublicKeys(peer: Peer, publicKey: PublicKey, previousKey: PublicKey | undefined): void {
    this.#forgetKeysOf(peer)
    const owner = previousKey && this.findByAnyKey(previousKey)
    const previous = owner === undefined ? previousKey : undefined
    peer.setPublicKeys(publicKey, previous)
    this.#byKey.set(formatKeyHex(publicKey), peer)
    if (previous !== undefined) this.#byPreviousKey.set(formatKeyHex(previous), peer)
  }

  #forgetKeysOf({ keys: { publicKey, previousKey } }: Peer): void {
    this.#byKey.delete(formatKeyHex(publicKey))
    if (previousKey !== undefined) this.#byPreviousKey.delete(formatKeyHex(previousKey))
  }

  remove(peer: Peer): void {
    this.clearAllowedIps(peer)
    this.#prefixes.delete(peer)
    this.#all.delete(peer)
    this.#forgetKeysOf(peer)
    this.#bySlot[peer.slot] = undefined
    this.#freeSlots.push(peer.slot)
  }

  giveAllowedIp(peer: Peer, prefix: Prefix): void {
    const masked = maskPrefix(prefix)
    const text = formatPrefix(masked)
    const owner = this.#owners.get(text)
    if (owner === peer) return
    this.#allowedIpChanges.set(text, { prefix: masked, slot: peer.slot })
    if (owner !== undefined) this.#prefixes.get(owner)?.delete(text)
    this.#owners.set(text, peer)
    this.#prefixes.get(peer)?.set(text, masked)
  }

  /** Does nothing if another peer has the prefix. */
  takeAllowedIp(peer: Peer, prefix: Prefix): void {
    const masked = maskPrefix(prefix)
    const text = formatPrefix(masked)
    if (this.#owners.get(text) !== peer) return
    this.#allowedIpChanges.set(text, { prefix: masked, slot: undefined })
    this.#owners.delete(text)
    this.#prefixes.get(peer)?.delete(text)
  }

  clearAllowedIps(peer: Peer): void {
    const prefixes = this.#prefixes.get(peer)
    if (prefixes === undefined) return
    for (const [text, prefix] of prefixes) {
      this.#allowedIpChanges.set(text, { prefix, slot: undefined })
      this.#owners.delete(text)
    }
    prefixes.clear()
  }

  allowedIpsOf(peer: Peer): readonly Prefix[] {
    return [...(this.#prefixes.get(peer)?.values() ?? [])]
  }
}
