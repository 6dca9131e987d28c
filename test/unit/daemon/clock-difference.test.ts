import { describe, expect, it } from 'vitest'
import { describeClockDifference } from '../../../src/daemon/clock-difference.js'

const NOW_MS = Date.UTC(2026, 5, 1)
const NOW_S = NOW_MS / 1000

describe('the difference of two clocks', () => {
  it('is told as that of this machine, with what it says', () => {
    expect(describeClockDifference(NOW_MS + 183_600_000, NOW_S)).toBe(
      "this machine's clock is 2 days, 3 hours ahead of the hub's: it says 2026-06-03T03:00:00.000Z",
    )
    expect(describeClockDifference(NOW_MS - 3_600_000, NOW_S)).toContain("1 hour behind the hub's")
  })

  it('is not worth a word below ten minutes, or if the hub says nothing', () => {
    expect(describeClockDifference(NOW_MS + 599_000, NOW_S)).toBe('')
    expect(describeClockDifference(NOW_MS, undefined)).toBe('')
  })
})
