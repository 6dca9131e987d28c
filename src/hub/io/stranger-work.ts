/**
 * What strangers make the hub compute: handshakes and signatures. The sources take turns, and each turn of
 * the event loop has a slice for all of them, so that neither a flood nor a storm of returning nodes holds up
 * members, the administrator, or one another.
 */

import { ShareTable } from '../../base/share-table.js'
import type { SourceKey } from '../../net/source.js'

/** As long as a member may wait for strangers. */
const SLICE_MS = 4
const MAX_TASKS = 4096

export interface StrangerTask {
  run(): void
  /** It gave way to newer ones; the caller forgets it. */
  drop(): void
}

export class StrangerWork {
  readonly #tasks = new ShareTable<SourceKey, StrangerTask>(MAX_TASKS)
  readonly #nowMs: () => number
  #isScheduled = false
  #dropped = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get dropped(): number {
    return this.#dropped
  }

  /** Tasks of one source run in their order. */
  submit(source: SourceKey, task: StrangerTask): void {
    const givesWay = this.#tasks.add(source, task)
    if (givesWay !== undefined) {
      this.#dropped += 1
      givesWay.drop()
    }
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled || this.#tasks.size === 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      const endMs = this.#nowMs() + SLICE_MS
      do this.#tasks.shift()?.run()
      while (this.#tasks.size > 0 && this.#nowMs() < endMs)
      this.#schedule()
    })
  }
}
