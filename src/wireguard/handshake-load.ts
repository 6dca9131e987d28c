/**
 * Whether the device is under load, so that handshake messages need a cookie (paper section 5.3).
 *
 * Load is a long queue of handshake messages or a high rate of them, and lasts for a second after
 * either was last seen.
 */

import { MAX_QUEUED_HANDSHAKES } from './constants.js'

const QUEUE_LIMIT: number = MAX_QUEUED_HANDSHAKES / 8
/**
 * Messages in one second. A full answer takes about 0.5 ms (bench/handshake.bench.ts), so this many
 * cost a quarter of the one thread that also runs the timers of all peers. Fewer would be too strict:
 * when a node with many peers restarts, they all come at once, and should not all pay a cookie round
 * while a half of the thread is free. A cookie reply costs a twentieth of an answer and stops a sender
 * with a forged address.
 */
const ARRIVALS_LIMIT = 500
const LASTS_MS = 1000
const WINDOW_MS = 1000
const SLOTS = 10
const SLOT_MS: number = WINDOW_MS / SLOTS

export class HandshakeLoad {
  /** Arrivals in each of the last SLOTS slots of time; slot n is at n modulo SLOTS. */
  readonly #arrivals: Uint32Array = new Uint32Array(SLOTS)
  #slot = 0
  #underLoadUntilMs = Number.NEGATIVE_INFINITY

  /** To be called for each handshake message, `queueLength`: messages that wait, this one included. */
  arrived(queueLength: number, nowMs: number): void {
    this.#advance(Math.floor(nowMs / SLOT_MS))
    const at = this.#slot % SLOTS
    this.#arrivals[at] = (this.#arrivals[at] as number) + 1
    const inWindow = this.#arrivals.reduce((sum, count) => sum + count, 0)
    if (queueLength >= QUEUE_LIMIT || inWindow > ARRIVALS_LIMIT) {
      this.#underLoadUntilMs = nowMs + LASTS_MS
    }
  }

  isUnderLoad(nowMs: number): boolean {
    return nowMs < this.#underLoadUntilMs
  }

  #advance(slot: number): void {
    const passed = Math.min(SLOTS, slot - this.#slot)
    for (let i = 0; i < passed; i++) this.#arrivals[(slot - i) % SLOTS] = 0
    this.#slot = slot
  }
}
