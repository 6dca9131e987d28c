/** A router that keeps few sessions: what a search for a path through it leaves to whoever else is behind it. */

import { HUB_ADDRESS, Internet, type InternetOptions } from './internet.js'
import { LabNetwork } from './network.js'
import type { RouterKind } from './routers.js'
import type { Site } from './site.js'

const SESSIONS = 128
const PINGS = 30
/** Of each search: half while it runs, half when it is over, and all of its sessions are still there. */
const NEW_FLOWS = 40
const HUB_PORT = 443
const PATIENCE_S = 3

export interface SessionResult {
  /** Packets that would have begun one session more, of each search. */
  readonly refused: readonly number[]
  /** Pings of the user's own to the hub, begun before the search, that were not answered. */
  readonly lost: number
  /** TCP connections of the user's own that were begun, and that came to be. */
  readonly begun: number
  readonly connected: number
  readonly direct: number
}

/** `small`: the router that keeps few sessions; `other`: the peer's. */
export async function measureSessionTable(
  [small, other]: readonly [small: RouterKind, other: RouterKind],
  options: InternetOptions,
  tries: number,
): Promise<SessionResult> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet)
    const a = await network.addNode(internet.addSite(small), 'a')
    const b = await network.addNode(internet.addSite(other), 'b')
    internet.limitSessions(a.site, SESSIONS)
    const refused: number[] = []
    let [lost, connected, direct] = [0, 0, 0]
    for (let i = 0; i < tries; i++) {
      internet.forget(a.site)
      internet.forget(b.site)
      await Promise.all([a.up(), b.up()])
      await Promise.all([a.untilKnown('b'), b.untilKnown('a')])
      const before = internet.refusedSessions(a.site)
      const stream = a.site.host.run(['ping', '-q', '-i', '0.1', '-c', String(PINGS), HUB_ADDRESS])
      const meanwhile = connectOften(a.site, NEW_FLOWS / 2)
      await a.ping('b', '--until-direct', '--count', '30')
      const [, answered = '0'] = /(\d+) received/.exec((await stream).stdout) ?? []
      lost += PINGS - Number(answered)
      connected += (await meanwhile) + (await connectOften(a.site, NEW_FLOWS / 2))
      if ((await a.why('b')).kind !== 'relay') direct += 1
      refused.push(internet.refusedSessions(a.site) - before)
      await Promise.all([a.down(), b.down()])
    }
    return { refused, lost, begun: tries * NEW_FLOWS, connected, direct }
  } finally {
    internet.close()
  }
}

/** To the hub, one after the other: gives how many came to be in time. */
async function connectOften({ host }: Site, count: number): Promise<number> {
  const connect = `timeout ${PATIENCE_S} bash -c ': </dev/tcp/${HUB_ADDRESS}/${HUB_PORT}' 2>/dev/null && echo yes`
  const script = `for i in $(seq ${count}); do ${connect}; sleep 0.05; done`
  const { stdout } = await host.run(['bash', '-c', script])
  return stdout.split('\n').filter((line) => line === 'yes').length
}
