/**
 * What waits to be written to one connection: control ahead of data, each bounded and shared by its senders
 * (fair-queue.ts). Old data is worth nothing to a tunnel, and one slow receiver must not hold back others or
 * fill the memory.
 */

import { FairQueue, type Sized } from './fair-queue.js'

/** About 50 ms of data at 40 Mbit/s: a longer queue only adds delay. */
const MAX_DATA_BYTES = 256 * 1024
/** Hundreds of handshakes and probes. */
const MAX_CONTROL_BYTES = 64 * 1024

export class Outbox<T extends Sized> {
  readonly #control = new FairQueue<T>(MAX_CONTROL_BYTES)
  readonly #data = new FairQueue<T>(MAX_DATA_BYTES)

  /** `item` is kept. Returns the number of items that gave way, perhaps this one. */
  push(item: T, isControl: boolean, sender = 0): number {
    return (isControl ? this.#control : this.#data).push(item, sender)
  }

  /** The next to be written. */
  shift(): T | undefined {
    return this.#control.shift() ?? this.#data.shift()
  }
}
