/** A router that keeps 128 sessions: searches for paths through it leave its table to whoever else is behind it. */

import { expect, test } from 'vitest'
import { HUB_ADDRESS, Internet } from '../../src/lab/internet.js'
import { LabNetwork } from '../../src/lab/network.js'
import { requirement } from '../support/requirement.js'

const SESSIONS = 128
/** Sockets between two gates of a fan, and questions at the second one. */
const MAX_REFUSED = 32 + 8
const TRIES = 3

requirement('few sessions', ['ip', 'nft', 'conntrack', 'ping'], () => {
  test('are filled by no more than a few sockets, and what flows goes on', async () => {
    const internet = await Internet.open({ rttMs: 40, lossPercent: 0 })
    try {
      const network = await LabNetwork.start(internet)
      const a = await network.addNode(internet.addSite('symmetricRandom'), 'a')
      const b = await network.addNode(internet.addSite('portRestricted'), 'b')
      internet.limitSessions(a.site, SESSIONS)
      const refused: number[] = []
      for (let i = 0; i < TRIES; i++) {
        internet.forget(a.site)
        internet.forget(b.site)
        await Promise.all([a.up(), b.up()])
        await Promise.all([a.untilKnown('b'), b.untilKnown('a')])
        const before = internet.refusedSessions(a.site)
        const stream = a.site.host.run(['ping', '-q', '-i', '0.1', '-c', '30', HUB_ADDRESS])
        await a.ping('b', '--until-direct', '--count', '30')
        expect((await stream).stdout).toContain(' 0% packet loss')
        refused.push(internet.refusedSessions(a.site) - before)
        process.stdout.write(`${(await a.why('b')).kind}, ${refused.at(-1)} refused\n`)
        await Promise.all([a.down(), b.down()])
      }
      expect(Math.max(...refused)).toBeLessThanOrEqual(MAX_REFUSED)
    } finally {
      internet.close()
    }
  })
})
