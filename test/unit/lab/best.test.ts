import { describe, expect, test } from 'vitest'
import { bestAchievable } from '../../../src/lab/best.js'
import { ROUTER_KINDS } from '../../../src/lab/routers.js'

const OPTIONS = { rttMs: 40 }

describe('the best of a pair of NATs', () => {
  test('is the same from both sides, and known for every pair', () => {
    for (const left of ROUTER_KINDS) {
      for (const right of ROUTER_KINDS) {
        const best = bestAchievable(left, right, OPTIONS)
        expect(best).toBe(bestAchievable(right, left, OPTIONS))
        expect(best).toMatch(/^(about 100|100|99|98–99\.9) %, |^relay/)
      }
    }
  })

  test.each([
    ['open', 'fullCone', '100 %, 20 ms'],
    ['carrierDouble', 'answering', '100 %, 40 ms'],
    ['symmetricRandom', 'fullCone', '100 %, 60 ms'],
    ['portRestricted', 'symmetricSequential', 'about 100 %, 100 ms'],
    ['carrierBlock', 'portRestricted', '99 %, 0.2 s'],
    ['symmetricRandom', 'symmetricRandom', 'relay'],
  ] as const)('%s × %s', (left, right, best) => {
    expect(bestAchievable(left, right, OPTIONS)).toBe(best)
  })

  test('gets better by IPv6, and by a router that maps ports', () => {
    const hard = ['symmetricRandom', 'symmetricRandom'] as const
    expect(bestAchievable(...hard, { ...OPTIONS, hasV6: true })).toBe('100 %, 40 ms')
    expect(bestAchievable(...hard, { ...OPTIONS, mapping: 'upnp' })).toBe('100 %, 60 ms')
  })
})
