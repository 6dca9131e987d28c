/**
 * What was taken back: the epoch, which only rises, and who was put out of the network when. Whatever is
 * taken back advances the epoch in the same transaction; tickets and directories carry it, so that none of
 * before passes for one of after.
 *
 * INVARIANT: it also rises over a restart, and where an older copy of the store was put back: an epoch is never
 * below the wall clock at the time it was taken.
 */

import type { Departure, NodeRecord, RemovalRecord, Store } from './store.js'

/** The oldest are forgotten: whoever comes back then hears that it is not known. */
const MAX_REMOVALS = 10_000
/** Of the wall clock: nobody may use up the numbers. */
const MAX_LEAD_MS: number = 365 * 86_400_000

export class Revocations {
  readonly #wallNowMs: () => number
  #epoch: number
  /** By identity, the oldest first. */
  readonly #removals: Map<string, RemovalRecord>

  constructor(store: Store, wallNowMs: () => number) {
    this.#wallNowMs = wallNowMs
    this.#epoch = this.#next(store.epoch())
    const byTime = [...store.removals()].sort((one, other) => one.atMs - other.atMs)
    this.#removals = new Map(byTime.map((removal) => [removal.identity, removal]))
  }

  get epoch(): number {
    return this.#epoch
  }

  find(identity: string): RemovalRecord | undefined {
    return this.#removals.get(identity)
  }

  /** A relay has heard that one: a hub that forgot it must not give it out again. */
  raise(epoch: number): void {
    if (epoch > this.#epoch && epoch < this.#wallNowMs() + MAX_LEAD_MS) this.#epoch = epoch + 1
  }

  /** In a transaction. If that fails, the epoch is ahead of the store, which harms nobody. */
  advance(store: Store): void {
    this.#epoch = this.#next(this.#epoch)
    store.setEpoch(this.#epoch)
  }

  removalOf({ identity, name }: NodeRecord, event: Departure): RemovalRecord {
    return { identity, name, event, atMs: Math.trunc(this.#wallNowMs()) }
  }

  /** In a transaction; `remember` follows when it is committed. */
  write(removal: RemovalRecord, store: Store): void {
    this.advance(store)
    store.putRemoval(removal)
    const oldest = this.#oldestBeyond(MAX_REMOVALS - 1)
    if (oldest !== undefined) store.deleteRemoval(oldest)
  }

  remember(removal: RemovalRecord): void {
    const oldest = this.#oldestBeyond(MAX_REMOVALS - 1)
    if (oldest !== undefined) this.#removals.delete(oldest)
    this.#removals.delete(removal.identity)
    this.#removals.set(removal.identity, removal)
  }

  /** Whoever comes back has not been removed. The store was told already. */
  forget(identity: string): void {
    this.#removals.delete(identity)
  }

  #oldestBeyond(count: number): string | undefined {
    const [oldest] = this.#removals.keys()
    return this.#removals.size > count ? oldest : undefined
  }

  #next(before: number): number {
    return Math.max(before + 1, Math.trunc(this.#wallNowMs()))
  }
}
