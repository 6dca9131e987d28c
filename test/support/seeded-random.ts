/** Random bytes that are the same in every run. For tests only: mulberry32 is not secure. */

import type { RandomBytes } from '../../src/wireguard/crypto.js'

export function seededRandom(seed: number): RandomBytes {
  let state = seed >>> 0
  return (length) => Uint8Array.from({ length }, nextByte)

  function nextByte(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 11) & 0xff
  }
}
