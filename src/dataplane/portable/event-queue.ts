/**
 * Events on their way up: gathered while a batch is carried, delivered when it is done.
 *
 * The listener may call down again. INVARIANT: it is never called while it runs; what such calls
 * raise comes in the next batch, right after it returned.
 */

import type { DataPlaneEvent, DataPlaneListener } from '../contract.js'

export class EventQueue {
  readonly #listener: DataPlaneListener
  #waiting: DataPlaneEvent[] = []
  #isDelivering = false
  #isStopped = false

  constructor(listener: DataPlaneListener) {
    this.#listener = listener
  }

  push(event: DataPlaneEvent): void {
    if (!this.#isStopped) this.#waiting.push(event)
  }

  deliver(): void {
    if (this.#isDelivering) return
    this.#isDelivering = true
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting
        this.#waiting = []
        this.#listener(batch)
      }
    } finally {
      this.#isDelivering = false
    }
  }

  /** Nothing is delivered any more. */
  stop(): void {
    this.#isStopped = true
    this.#waiting = []
  }
}
