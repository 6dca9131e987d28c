/**
 * What a node holds on to whatever its hub says later: to which identity a name or an IPv4 address belonged first,
 * and the highest number of each identity's tunnel keys. A hub that removes a node and adds it again changes neither.
 *
 * It is kept when the node is removed. Where there is no room left, the number of a key whose signature has expired
 * gives way, since no older one can be shown any more; otherwise a newcomer is refused.
 */

import type { SignedTunnelKey } from './tunnel-key.js'

export interface StoredPins {
  /** Name or IPv4 address → identity, base64. */
  readonly owners: Readonly<Record<string, string>>
  /** Identity → its highest key. */
  readonly keys: Readonly<Record<string, KeyFloor>>
}

export interface KeyFloor {
  readonly number: number
  /** Seconds since 1970: the latest end of a signature of this identity. */
  readonly notAfter: number
}

/** Twice what a network may have. */
export const MAX_PINNED_KEYS: number = 2 * 65_535
const MAX_OWNERS: number = 2 * MAX_PINNED_KEYS

export class Pins {
  readonly #owners = new Map<string, string>()
  readonly #keys = new Map<string, KeyFloor>()

  ownerOf(name: string): string | undefined {
    return this.#owners.get(name)
  }

  /** There was a later key of this identity. */
  isRolledBack(identity: string, { number }: SignedTunnelKey): boolean {
    return number < (this.#keys.get(identity)?.number ?? 0)
  }

  /** Names that had no owner get one, the key counts from now on. False, and nothing changes: there is no room. */
  tryPin(identity: string, names: readonly string[], key: SignedTunnelKey, nowS: number): boolean {
    const isRoom = this.#keys.has(identity) || this.#keys.size < MAX_PINNED_KEYS || this.#dropExpired(nowS)
    const free = names.filter((name) => !this.#owners.has(name))
    if (!isRoom || this.#owners.size + free.length > MAX_OWNERS) return false
    for (const name of free) this.#owners.set(name, identity)
    const before = this.#keys.get(identity)
    this.#keys.set(identity, {
      number: Math.max(key.number, before?.number ?? 0),
      notAfter: Math.max(key.notAfter, before?.notAfter ?? 0),
    })
    return true
  }

  /** A person says whose they are. */
  give(names: readonly string[], identity: string): void {
    for (const name of names) this.#owners.set(name, identity)
  }

  // --- storing ---------------------------------------------------------------------------------

  toStored(): StoredPins {
    return { owners: Object.fromEntries(this.#owners), keys: Object.fromEntries(this.#keys) }
  }

  restore({ owners, keys }: StoredPins): void {
    for (const [name, identity] of Object.entries(owners)) this.#owners.set(name, identity)
    for (const [identity, floor] of Object.entries(keys)) this.#keys.set(identity, floor)
  }

  #dropExpired(nowS: number): boolean {
    for (const [identity, { notAfter }] of this.#keys) if (notAfter < nowS) this.#keys.delete(identity)
    return this.#keys.size < MAX_PINNED_KEYS
  }
}

/** As they would be after `Pins.give`. */
export function withOwners(pins: StoredPins, names: readonly string[], identity: string): StoredPins {
  return { ...pins, owners: { ...pins.owners, ...Object.fromEntries(names.map((name) => [name, identity])) } }
}
