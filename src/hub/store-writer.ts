/**
 * The way of every change to a hub's store: whole or not at all, and it is known whether the last one worked,
 * so that a hub whose disk is full or locked can go on from memory and say so.
 *
 * INVARIANT: what a change is about is changed in memory after `write` has returned, never before.
 */

import type { AuditRecord, Store } from './store.js'
import { StoreError } from './store-error.js'

/** A store that just failed is not asked again before: each attempt may wait for a lock, and everybody with it. */
const RETRY_PAUSE_MS = 1000

export interface StoreFailure {
  readonly error: StoreError
  /** Wall clock, ms. */
  readonly sinceMs: number
}

export interface StoreWriterOptions {
  readonly store: Store
  readonly wallNowMs: () => number
  /** The store fails from now on, or works again: undefined. */
  readonly onFailure?: ((failure: StoreFailure | undefined) => void) | undefined
}

export class StoreWriter {
  readonly #options: StoreWriterOptions
  #failure: StoreFailure | undefined
  #triedAtMs = 0

  constructor(options: StoreWriterOptions) {
    this.#options = options
  }

  /** Undefined while the store works, as far as is known. */
  get failure(): StoreFailure | undefined {
    return this.#failure
  }

  /** Throws StoreError; then nothing in the store has changed. */
  write<T>(work: (store: Store) => T): T {
    const { store, wallNowMs, onFailure } = this.#options
    const nowMs = wallNowMs()
    const before = this.#failure
    // A clock that was set back ends the pause.
    const isTooEarly = nowMs >= this.#triedAtMs && nowMs < this.#triedAtMs + RETRY_PAUSE_MS
    if (before !== undefined && isTooEarly) throw before.error
    this.#triedAtMs = nowMs
    try {
      const result = store.transaction(() => {
        const given = work(store)
        if (before !== undefined) store.appendAudit(recoveryOf(before, nowMs))
        return given
      })
      this.#failure = undefined
      if (before !== undefined) onFailure?.(undefined)
      return result
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.#failure = { error, sinceMs: before?.sinceMs ?? nowMs }
      if (before?.error.message !== error.message) onFailure?.(this.#failure)
      throw error
    }
  }
}

/** Who reads the audit record later learns why a while is missing in it. */
function recoveryOf({ error, sinceMs }: StoreFailure, atMs: number): AuditRecord {
  const detail = `${error.message}, for ${Math.round((atMs - sinceMs) / 1000)} s`
  return { atMs, event: 'store.recovered', subject: '', detail }
}
