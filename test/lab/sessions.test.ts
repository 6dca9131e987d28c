/** A router that keeps 128 sessions: searches for paths through it leave its table to whoever else is behind it. */

import { expect, test } from 'vitest'
import { measureSessionTable } from '../../src/lab/session-table.js'
import { requirement } from '../support/requirement.js'

/** What a router has left is found out by asking for up to so many more, for one round trip. */
const MAX_REFUSED = 64

requirement('few sessions', ['ip', 'nft', 'conntrack', 'ping'], () => {
  test.each([
    ['symmetricRandom', 'portRestricted'],
    ['portRestricted', 'symmetricRandom'],
  ] as const)(
    'are not used up by a search behind %s: what flows goes on, and flows begin',
    async (...pair) => {
      const { refused, lost, begun, connected, direct } = await measureSessionTable(
        pair,
        { rttMs: 40, lossPercent: 0 },
        3,
      )
      process.stdout.write(`${direct} direct, ${refused.join(', ')} refused, ${connected} connected\n`)
      expect(lost).toBe(0)
      expect(connected).toBe(begun)
      expect(Math.max(...refused)).toBeLessThanOrEqual(MAX_REFUSED)
    },
  )
})
