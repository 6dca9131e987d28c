import { describe, expect, it } from 'vitest'
import type { RelayRtts } from '../../../src/control/messages.js'
import { LatencyReport } from '../../../src/relay/latency-report.js'

class Clock {
  nowMs = 5000
  readonly report = new LatencyReport()

  /** Each of what was told within `ms` after `rtts` were measured. */
  told(rtts: RelayRtts, ms: number): RelayRtts[] {
    const endMs = this.nowMs + ms
    const all: RelayRtts[] = []
    this.report.measured(rtts, this.nowMs)
    while (this.report.nextDeadlineMs() <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.report.nextDeadlineMs())
      const due = this.report.takeDue(this.nowMs)
      if (due !== undefined) all.push(due)
    }
    this.nowMs = endMs
    return all
  }
}

describe('a report of round trips', () => {
  it('is one for all that happens at once, in whole ms', () => {
    const clock = new Clock()
    expect(clock.told({ a: 30.4 }, 100)).toEqual([])
    expect(clock.told({ a: 30.4, b: 15.6 }, 5000)).toEqual([{ a: 30, b: 16 }])
    expect(clock.report.home).toBe('b')
  })

  it('is made for a change that counts, not for noise', () => {
    const clock = new Clock()
    clock.told({ a: 30, b: 200 }, 5000)
    expect(clock.told({ a: 39, b: 200 }, 120_000)).toEqual([])
    expect(clock.told({ a: 30, b: 239 }, 120_000)).toEqual([])
    expect(clock.told({ a: 30, b: 241 }, 120_000)).toEqual([{ a: 30, b: 241 }])
    expect(clock.told({ a: 41, b: 241 }, 120_000)).toEqual([{ a: 41, b: 241 }])
    expect(clock.told({ b: 241 }, 120_000)).toEqual([{ b: 241 }])
  })

  it('is not made for what has passed before it was told', () => {
    const clock = new Clock()
    clock.told({ a: 30 }, 5000)
    expect(clock.told({ a: 90 }, 500)).toEqual([])
    expect(clock.told({ a: 31 }, 120_000)).toEqual([])
  })

  it('comes once a minute at most over time, whatever happens', () => {
    const clock = new Clock()
    let count = 0
    for (let i = 0; i < 600; i++) count += clock.told({ a: i % 2 === 0 ? 30 : 90 }, 3000).length
    // 1800 s, and what may be sooner.
    expect(count).toBeLessThanOrEqual(30 + 2)
    expect(count).toBeGreaterThan(20)
  })

  it('names eight relays, the fastest', () => {
    const clock = new Clock()
    const many = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`r${i}`, 100 - i]))
    const [told] = clock.told(many, 5000)
    expect(Object.keys(told ?? {})).toEqual(['r9', 'r8', 'r7', 'r6', 'r5', 'r4', 'r3', 'r2'])
  })

  it('is given whole to a hub that is new, and then not again', () => {
    const clock = new Clock()
    clock.report.measured({ a: 30 }, clock.nowMs)
    expect(clock.report.takeAll()).toEqual({ a: 30 })
    expect(clock.told({ a: 30 }, 120_000)).toEqual([])
  })
})
