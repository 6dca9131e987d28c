/**
 * Receiver indices in use by this device: 32-bit numbers picked at random, so that they tell a
 * bystander nothing (paper section 5.4). An index belongs to a handshake first, then to its keypair.
 */

import type { RandomBytes } from './crypto.js'
import { readUint32Le } from './messages.js'

/** Far beyond chance: with a million live indices, a try fails once in four thousand. */
const MAX_TRIES = 64

export class IndexTable<T> {
  readonly #random: RandomBytes
  readonly #owners: Map<number, T> = new Map()

  constructor(random: RandomBytes) {
    this.#random = random
  }

  get size(): number {
    return this.#owners.size
  }

  /** Gives `owner` an index that nobody has. Throws only if the random source is broken. */
  claim(owner: T): number {
    for (let i = 0; i < MAX_TRIES; i++) {
      const index = readUint32Le(this.#random(4), 0)
      if (this.#owners.has(index)) continue
      this.#owners.set(index, owner)
      return index
    }
    throw new Error('no free receiver index found: the random source repeats itself')
  }

  /** The index of a finished handshake goes on as that of its keypair. */
  reassign(index: number, owner: T): void {
    this.#owners.set(index, owner)
  }

  find(index: number): T | undefined {
    return this.#owners.get(index)
  }

  /** Does nothing if nobody has the index. */
  release(index: number): void {
    this.#owners.delete(index)
  }
}
