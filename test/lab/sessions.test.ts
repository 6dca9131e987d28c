/** A router that keeps 128 sessions: searches for paths through it leave its table to whoever else is behind it. */

import { expect, test } from 'vitest'
import { measureSessionTable } from '../../src/lab/session-table.js'
import { requirement } from '../support/requirement.js'

/** Sockets between two gates of a fan, and questions at the second one. */
const MAX_REFUSED = 32 + 8

requirement('few sessions', ['ip', 'nft', 'conntrack', 'ping'], () => {
  test('are filled by no more than a few sockets, and what flows goes on', async () => {
    const { refused, lost, direct } = await measureSessionTable({ rttMs: 40, lossPercent: 0 }, 3)
    process.stdout.write(`${direct} direct, ${refused.join(', ')} refused\n`)
    expect(lost).toBe(0)
    expect(Math.max(...refused)).toBeLessThanOrEqual(MAX_REFUSED)
  })
})
