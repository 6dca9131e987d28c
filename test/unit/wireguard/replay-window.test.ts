import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { REPLAY_WINDOW_COUNTERS } from '../../../src/wireguard/constants.js'
import { ReplayWindow } from '../../../src/wireguard/replay-window.js'

const WINDOW = BigInt(REPLAY_WINDOW_COUNTERS)

function accept(window: ReplayWindow, counter: bigint): boolean {
  return window.accept(Number(counter >> 32n), Number(counter & 0xffff_ffffn))
}

/** The rule itself, with a set. */
class SlowWindow {
  readonly #seen = new Set<bigint>()
  #newest = 0n

  accept(counter: bigint): boolean {
    if (counter + WINDOW <= this.#newest || this.#seen.has(counter)) return false
    this.#seen.add(counter)
    if (counter > this.#newest) this.#newest = counter
    return true
  }
}

describe('replay window', () => {
  test.each([0n, 1n, 31n, 32n, 33n, (1n << 32n) - 1n, 1n << 32n, (1n << 64n) - 1n])(
    'counter %s is new once, even as the first one',
    (counter) => {
      const window = new ReplayWindow()
      expect(accept(window, counter)).toBe(true)
      expect(accept(window, counter)).toBe(false)
    },
  )

  test.each([1n, 3n, 31n, 33n, 8_191n])('40,000 counters in steps of %s are all new', (step) => {
    const window = new ReplayWindow()
    let accepted = 0
    for (let i = 0n; i < 40_000n; i++) if (accept(window, i * step)) accepted += 1
    expect(accepted).toBe(40_000)
  })

  test('exactly the last 8192 counters are inside', () => {
    const window = new ReplayWindow()
    const newest = 100_000n
    expect(accept(window, newest)).toBe(true)
    expect(accept(window, newest - WINDOW)).toBe(false)
    expect(accept(window, newest - WINDOW + 1n)).toBe(true)
  })

  test('a jump of any size clears what it passes over', () => {
    for (const jump of [31n, 32n, 8191n, 8192n, 16_384n, 1n << 32n, 1n << 60n]) {
      const window = new ReplayWindow()
      for (let counter = 0n; counter < 64n; counter++) accept(window, counter)
      expect(accept(window, 63n + jump)).toBe(true)
      expect(accept(window, 62n + jump)).toBe(true)
      expect(accept(window, 63n + jump)).toBe(false)
    }
  })

  test('halves are joined: equal low halves are different counters', () => {
    const window = new ReplayWindow()
    expect(accept(window, 5n)).toBe(true)
    expect(accept(window, (1n << 32n) + 5n)).toBe(true)
    expect(accept(window, 5n)).toBe(false)
    expect(accept(window, (1n << 32n) - 1n)).toBe(true)
  })

  test('any sequence is judged as a set of all seen counters would', () => {
    const step = fc.oneof(
      fc.bigInt(-40n, 40n),
      fc.bigInt(-9_000n, 9_000n),
      fc.bigInt(-20_000n, 20_000n),
      fc.bigInt(0n, 1n << 34n),
    )
    const start = fc.oneof(fc.constant(0n), fc.bigInt(0n, 1n << 63n), fc.constant((1n << 32n) - 100n))
    fc.assert(
      fc.property(start, fc.array(step, { maxLength: 200 }), (first, steps) => {
        const window = new ReplayWindow()
        const slow = new SlowWindow()
        let counter = first
        for (const delta of [0n, ...steps]) {
          counter += delta
          if (counter < 0n) counter = 0n
          expect(accept(window, counter)).toBe(slow.accept(counter))
        }
      }),
      { numRuns: 300, seed: 20_301 },
    )
  })
})
