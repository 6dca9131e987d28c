/**
 * Which message counters of one receive key were seen: a sliding window as a ring of bit blocks, after
 * RFC 6479. Moving ahead clears whole blocks, so nothing is shifted, whatever the jump.
 *
 * Counters are 64-bit, as pairs of unsigned 32-bit halves. The ring is a power of two of blocks and
 * larger than the window, so the low half alone tells a counter's block.
 * INVARIANT: `accept` is called after authentication only, so strangers cannot move the window.
 */

import { REPLAY_WINDOW_COUNTERS } from './constants.js'

const BLOCK_BITS = 32
const BLOCK_SHIFT = 5
const RING_BLOCKS: number = (2 * REPLAY_WINDOW_COUNTERS) / BLOCK_BITS
const RING_MASK: number = RING_BLOCKS - 1

export class ReplayWindow {
  readonly #ring: Uint32Array = new Uint32Array(RING_BLOCKS)
  #newestHigh = 0
  #newestLow = 0

  /** True, and remembered, if the counter is new; false if it was seen or is behind the window. */
  accept(counterHigh: number, counterLow: number): boolean {
    // Inexact only where the halves differ by more than 2^21, and then far from any limit below.
    const ahead = (counterHigh - this.#newestHigh) * 2 ** 32 + (counterLow - this.#newestLow)
    if (ahead <= -REPLAY_WINDOW_COUNTERS) return false
    if (ahead > 0) this.#moveTo(counterHigh, counterLow, ahead)
    const block = (counterLow >>> BLOCK_SHIFT) & RING_MASK
    const bit = 1 << (counterLow & (BLOCK_BITS - 1))
    const seen = this.#ring[block] as number
    if ((seen & bit) !== 0) return false
    this.#ring[block] = seen | bit
    return true
  }

  #moveTo(counterHigh: number, counterLow: number, ahead: number): void {
    const entered = Math.floor((ahead + (this.#newestLow & (BLOCK_BITS - 1))) / BLOCK_BITS)
    const newestBlock = this.#newestLow >>> BLOCK_SHIFT
    for (let i = Math.min(entered, RING_BLOCKS); i > 0; i--) this.#ring[(newestBlock + i) & RING_MASK] = 0
    this.#newestHigh = counterHigh
    this.#newestLow = counterLow
  }
}
