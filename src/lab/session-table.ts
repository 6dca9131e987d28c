/** A router that keeps few sessions: what a search for a path through it leaves to whoever else is behind it. */

import { HUB_ADDRESS, Internet, type InternetOptions } from './internet.js'
import { LabNetwork } from './network.js'

const SESSIONS = 128
const PINGS = 30

export interface SessionResult {
  /** Packets that would have begun one session more, of each search. */
  readonly refused: readonly number[]
  /** Pings of the user's own to the hub, begun before the search, that were not answered. */
  readonly lost: number
  readonly direct: number
}

export async function measureSessionTable(options: InternetOptions, tries: number): Promise<SessionResult> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet)
    const a = await network.addNode(internet.addSite('symmetricRandom'), 'a')
    const b = await network.addNode(internet.addSite('portRestricted'), 'b')
    internet.limitSessions(a.site, SESSIONS)
    const refused: number[] = []
    let [lost, direct] = [0, 0]
    for (let i = 0; i < tries; i++) {
      internet.forget(a.site)
      internet.forget(b.site)
      await Promise.all([a.up(), b.up()])
      await Promise.all([a.untilKnown('b'), b.untilKnown('a')])
      const before = internet.refusedSessions(a.site)
      const stream = a.site.host.run(['ping', '-q', '-i', '0.1', '-c', String(PINGS), HUB_ADDRESS])
      await a.ping('b', '--until-direct', '--count', '30')
      const [, answered = '0'] = /(\d+) received/.exec((await stream).stdout) ?? []
      lost += PINGS - Number(answered)
      if ((await a.why('b')).kind !== 'relay') direct += 1
      refused.push(internet.refusedSessions(a.site) - before)
      await Promise.all([a.down(), b.down()])
    }
    return { refused, lost, direct }
  } finally {
    internet.close()
  }
}
