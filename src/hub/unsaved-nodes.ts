/**
 * Of which nodes memory knows more than the store, in what is not worth a write each time or could not be
 * written: when a node was seen last, and its keys.
 */

import type { NodeRecord } from './store.js'

/** What a `kill -9` may make older of when a connected node was seen last. */
const SEEN_AGE_MS: number = 10 * 60_000

export class UnsavedNodes {
  /** When each node was seen last, as the store has it. */
  readonly #storedSeenMs = new Map<string, number>()
  readonly #identities = new Set<string>()

  get size(): number {
    return this.#identities.size
  }

  /** The oldest first, so many at most. */
  first(count: number): string[] {
    return [...this.#identities].slice(0, count)
  }

  add(identity: string): void {
    this.#identities.add(identity)
  }

  /** The store has it as it is. */
  stored({ identity, lastSeenMs }: NodeRecord): void {
    this.#storedSeenMs.set(identity, lastSeenMs)
    this.#identities.delete(identity)
  }

  /** It was just now. */
  seen({ identity, lastSeenMs }: NodeRecord): void {
    if (lastSeenMs - (this.#storedSeenMs.get(identity) ?? 0) > SEEN_AGE_MS) this.#identities.add(identity)
  }

  forget(identity: string): void {
    this.#storedSeenMs.delete(identity)
    this.#identities.delete(identity)
  }
}
