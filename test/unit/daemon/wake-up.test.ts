import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createWakeUp } from '../../../src/daemon/wake-up.js'

/** Boot clock: the fake timers' clock plus the time the machine slept. */
let sleptMs = 0
const bootNowMs = (): number => performance.now() + sleptMs

beforeEach(() => {
  sleptMs = 0
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'], now: 0 })
})

afterEach(() => {
  vi.useRealTimers()
})

function setUp(): { woken: number[]; wakeUp: ReturnType<typeof createWakeUp> } {
  const woken: number[] = []
  return { woken, wakeUp: createWakeUp(bootNowMs, () => woken.push(bootNowMs())) }
}

describe('the wake-up', () => {
  it('calls back once, and not before its time, however far off', () => {
    const { woken, wakeUp } = setUp()
    wakeUp.at(12_345.5)
    vi.advanceTimersByTime(12_345)
    expect(woken).toEqual([])
    vi.advanceTimersByTime(100_000)
    expect(woken).toHaveLength(1)
    expect(woken[0]).toBeGreaterThanOrEqual(12_345.5)
  })

  it('goes by the time it was given last', () => {
    const { woken, wakeUp } = setUp()
    wakeUp.at(1000)
    wakeUp.at(2000)
    vi.advanceTimersByTime(1999)
    expect(woken).toEqual([])
    vi.advanceTimersByTime(1)
    expect(woken).toEqual([2000])
  })

  it('is silent when disarmed', () => {
    const { woken, wakeUp } = setUp()
    wakeUp.at(1000)
    wakeUp.at(Number.POSITIVE_INFINITY)
    vi.advanceTimersByTime(10_000)
    expect(woken).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is late by five seconds at most after the machine slept', () => {
    const { woken, wakeUp } = setUp()
    wakeUp.at(60_000)
    vi.advanceTimersByTime(1000)
    sleptMs = 3_600_000
    vi.advanceTimersByTime(5000)
    expect(woken).toHaveLength(1)
  })

  it('can be armed anew from within the call', () => {
    const woken: number[] = []
    const wakeUp = createWakeUp(bootNowMs, () => {
      woken.push(bootNowMs())
      if (woken.length < 3) wakeUp.at(bootNowMs() + 10)
    })
    wakeUp.at(0)
    vi.advanceTimersByTime(100)
    expect(woken).toHaveLength(3)
  })
})
