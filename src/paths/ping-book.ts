/** Pings that were sent and may be answered: which path each went over, and when. Bounded; late ones count as lost. */

import { formatHex } from '../base/bytes.js'
import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import type { DiscoPair } from './disco-pair.js'
import { keyOf } from './known-paths.js'

const MAX_PENDING = 512
const PATIENCE_MS = 2000
/** A shared one is sent for as long as a search lasts; later answers are old ones, played again. */
const SHARED_PATIENCE_MS = 5000
const TRANSACTION_ID_BYTES = 12

/** `long`: as a datagram of data gets; `beside`: a short one that went out with a long one, `afterData`: with data. */
export type PingRole = 'plain' | 'long' | 'beside' | 'afterData'

export interface Pending {
  readonly key: string
  readonly path: Path
  readonly sentMs: number
  readonly role: PingRole
}

export class PingBook {
  readonly #pair: DiscoPair
  readonly #random: RandomBytes
  readonly #pending = new Map<string, Pending>()
  /** One ping that goes to many ends: whichever answers is meant. */
  #shared: { readonly id: string; readonly sentMs: number } | undefined

  constructor(pair: DiscoPair, random: RandomBytes) {
    this.#pair = pair
    this.#random = random
  }

  /** Gives the sealed ping. `sizeBytes`: of the datagram; 0 for a short one. */
  create(path: Path, nowMs: number, role: PingRole = 'plain', sizeBytes = 0): Uint8Array {
    const transactionId = this.#random(TRANSACTION_ID_BYTES)
    this.#pending.set(formatHex(transactionId), { key: keyOf(path), path, sentMs: nowMs, role })
    if (this.#pending.size > MAX_PENDING) {
      const [oldest] = this.#pending.keys()
      if (oldest !== undefined) this.#pending.delete(oldest)
    }
    return this.#seal(transactionId, sizeBytes)
  }

  /** Gives a sealed ping of which no answer is expected. */
  createOpener(): Uint8Array {
    return this.#seal(this.#random(TRANSACTION_ID_BYTES))
  }

  /** Gives a sealed ping that may be sent anywhere, as often as wanted. */
  createShared(nowMs: number): Uint8Array {
    const transactionId = this.#random(TRANSACTION_ID_BYTES)
    this.#shared = { id: formatHex(transactionId), sentMs: nowMs }
    return this.#seal(transactionId)
  }

  /** What an answer that came over `path` answers; undefined if nothing. */
  take(path: Path, transactionId: Uint8Array, nowMs: number): Pending | undefined {
    const id = formatHex(transactionId)
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (pending !== undefined) return pending
    const shared = this.#shared
    return shared?.id === id && nowMs - shared.sentMs < SHARED_PATIENCE_MS
      ? { key: keyOf(path), path, sentMs: shared.sentMs, role: 'plain' }
      : undefined
  }

  isPending(path: Path, sinceMs: number = Number.NEGATIVE_INFINITY): boolean {
    const key = keyOf(path)
    for (const pending of this.#pending.values()) {
      if (pending.key === key && pending.sentMs >= sinceMs) return true
    }
    return false
  }

  /** Keys of the paths whose pings will not be answered any more. */
  takeLate(nowMs: number): string[] {
    const late: string[] = []
    for (const [id, { key, sentMs }] of this.#pending) {
      if (nowMs - sentMs < PATIENCE_MS) break
      this.#pending.delete(id)
      late.push(key)
    }
    return late
  }

  clear(): void {
    this.#pending.clear()
  }

  #seal(transactionId: Uint8Array, sizeBytes = 0): Uint8Array {
    return this.#pair.seal({ kind: 'ping', transactionId, sizeBytes }, this.#random)
  }
}
