import { describe, expect, test } from 'vitest'
import { type Probe, type RunProbe, searchRate } from '../../../bench/rate-search.js'

const LIMITS = { probeS: 0.3, confirmS: 2 }

interface Call {
  readonly rate: number
  readonly seconds: number
}

/** A path that carries `capacity` packets per second, and a sender that manages `senderMax`. */
function fakePath(capacity: (seconds: number) => number, senderMax = Number.POSITIVE_INFINITY) {
  const calls: Call[] = []
  const run: RunProbe = (rate, seconds): Promise<Probe> => {
    calls.push({ rate, seconds })
    const sent = Math.min(rate, senderMax) * seconds
    return Promise.resolve({ sent, received: Math.min(sent, capacity(seconds) * seconds) })
  }
  return { run, calls }
}

describe('the search for a packet rate', () => {
  test.each([300, 5_000, 55_000, 290_000, 1_500_000])(
    'finds a path of %i packets per second',
    async (pps) => {
      const { run, calls } = fakePath(() => pps)
      const found = await searchRate(run, LIMITS)
      expect(found).toBeGreaterThan(pps * 0.93)
      expect(found).toBeLessThanOrEqual(pps)
      expect(calls.length).toBeLessThan(25)
    },
  )

  test('what it gives was confirmed for the longer time', async () => {
    const { run, calls } = fakePath(() => 55_000)
    const found = await searchRate(run, LIMITS)
    expect(calls.at(-1)).toEqual({ rate: found, seconds: LIMITS.confirmS })
  })

  test('steps down while the longer time shows losses that the short one hid', async () => {
    const { run, calls } = fakePath((seconds) => (seconds === LIMITS.confirmS ? 40_000 : 60_000))
    const found = await searchRate(run, LIMITS)
    expect(found).toBeGreaterThan(40_000 * 0.9)
    expect(found).toBeLessThanOrEqual(40_000 * 1.01)
    expect(calls.filter(({ seconds }) => seconds === LIMITS.confirmS).length).toBeGreaterThan(3)
  })

  test('ends at the rate that the sender itself can do', async () => {
    const { run } = fakePath(() => 10_000_000, 333_000)
    expect(await searchRate(run, LIMITS)).toBeCloseTo(333_000)
  })

  test('gives up within bounds if nothing arrives', async () => {
    const { run, calls } = fakePath(() => 0)
    expect(await searchRate(run, LIMITS)).toBeUndefined()
    expect(calls.length).toBeLessThanOrEqual(40)
  })

  test('takes a run that sent nothing for a failed one', async () => {
    const { run, calls } = fakePath(() => 1000, 0)
    expect(await searchRate(run, LIMITS)).toBeUndefined()
    expect(calls.length).toBeLessThanOrEqual(40)
  })
})
