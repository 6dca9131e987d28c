import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeTai64n, isLaterTai64n, Tai64nClock } from '../../../src/wireguard/tai64n.js'
import { hex } from '../../support/hex.js'

const QUANTUM_MS = 2 ** 24 / 1e6

describe('encodeTai64n', () => {
  it('counts seconds from 1970 with the ten of TAI', () => {
    expect(encodeTai64n(0)).toEqual(hex('400000000000000a 00000000'))
    expect(encodeTai64n(1_700_000_000_000)).toEqual(hex('400000006553f10a 00000000'))
  })

  it('rounds nanoseconds down to a multiple of 2^24', () => {
    expect(encodeTai64n(16)).toEqual(hex('400000000000000a 00000000'))
    expect(encodeTai64n(17)).toEqual(hex('400000000000000a 01000000'))
    expect(encodeTai64n(999.999)).toEqual(hex('400000000000000a 3b000000'))
  })

  it('goes on after 2106, when the seconds need more than 32 bits', () => {
    expect(encodeTai64n((2 ** 32 - 10) * 1000)).toEqual(hex('4000000100000000 00000000'))
  })

  it('takes times before 1970 as 1970', () => {
    expect(encodeTai64n(-1)).toEqual(encodeTai64n(0))
  })
})

describe('isLaterTai64n', () => {
  it('orders timestamps as their times', () => {
    const time = fc.integer({ min: 0, max: 2 ** 45 })
    const ordering = fc.property(time, time, (a, b) => {
      const isLater = Math.floor(a / 1000) !== Math.floor(b / 1000) ? a > b : undefined
      if (isLater !== undefined) expect(isLaterTai64n(encodeTai64n(a), encodeTai64n(b))).toBe(isLater)
      expect(isLaterTai64n(encodeTai64n(a), encodeTai64n(a))).toBe(false)
    })
    fc.assert(ordering, { seed: 1 })
  })

  it('looks at the last byte and at the first', () => {
    expect(isLaterTai64n(hex('00000000000000000000000a'), hex('000000000000000000000009'))).toBe(true)
    expect(isLaterTai64n(hex('010000000000000000000000'), hex('00ffffffffffffffffffffff'))).toBe(true)
    expect(isLaterTai64n(hex('00ffffffffffffffffffffff'), hex('010000000000000000000000'))).toBe(false)
  })
})

describe('Tai64nClock', () => {
  it('gives the time when that is later than the last', () => {
    const clock = new Tai64nClock()
    expect(clock.next(1000)).toEqual(encodeTai64n(1000))
    expect(clock.next(5000)).toEqual(encodeTai64n(5000))
  })

  it('goes on by one quantum within a quantum and when the wall clock jumps back', () => {
    const clock = new Tai64nClock()
    clock.next(5000)
    expect(clock.next(5000)).toEqual(encodeTai64n(5000 + QUANTUM_MS + 0.001))
    expect(clock.next(1)).toEqual(encodeTai64n(5000 + 2 * QUANTUM_MS + 0.001))
  })

  it('is strictly increasing whatever the wall clock does', () => {
    const walls = fc.array(fc.integer({ min: -5000, max: 10_000 }), { minLength: 200, maxLength: 300 })
    const increasing = fc.property(walls, (times) => {
      const clock = new Tai64nClock()
      let last = clock.next(times[0] as number)
      for (const wallMs of times) {
        const next = clock.next(wallMs)
        expect(isLaterTai64n(next, last)).toBe(true)
        expect(new DataView(next.buffer).getUint32(8)).toBeLessThan(1e9)
        last = next
      }
    })
    fc.assert(increasing, { seed: 2, numRuns: 30 })
  })
})
