/** What a single search sends; whether two of them meet is told by worlds of NATs in other files. */

import { describe, expect, it } from 'vitest'
import { answerStun } from '../../../src/hub/stun-answer.js'
import type { HardPlan } from '../../../src/paths/hard-plan.js'
import { type HardEffect, HardSearch } from '../../../src/paths/hard-search.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const SERVER = endpoint('198.51.100.1', 3478)
const PEER = endpoint('203.0.113.2', 443)
const [MAIN, FRESH] = [1, -1]
const PING = Uint8Array.of(7)

function searchOf(plan: Partial<HardPlan>, hasServer = true): HardSearch {
  const whole = { technique: 'spray', sockets: 1, probes: 100, range: [1024, 65_535], isAnew: true } as const
  return new HardSearch(
    {
      plan: { ...whole, ...plan },
      mainSocket: MAIN,
      peerAddresses: [PEER.address],
      peerEndpoints: [PEER],
      stunServer: hasServer ? SERVER : undefined,
      hasRoom: true,
      isHeld: false,
      ping: PING,
      random: seededRandom(1),
    },
    0,
  )
}

/** All that it does from one time to another; a server answers at once, if `answers`. */
function run(search: HardSearch, fromMs: number, untilMs: number, answers = true): HardEffect[] {
  const all: HardEffect[] = []
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs += 10) {
    const effects: HardEffect[] = []
    search.handleTimeout(nowMs, effects)
    all.push(...effects)
    for (const effect of effects) {
      if (effect.kind !== 'send' || effect.path.remote !== SERVER || !answers) continue
      const seen = endpoint('203.0.113.1', 5555)
      const answer = answerStun(effect.bytes, seen, SERVER, [SERVER])
      if (answer !== undefined) search.handleDatagram(effect.path, answer.bytes, all)
    }
  }
  return all
}

/** Of each probe: from which socket. */
function sources(effects: readonly HardEffect[]): number[] {
  return effects.flatMap((effect) =>
    effect.kind === 'send' && effect.bytes === PING ? [effect.path.socket] : [],
  )
}

function countOf(list: readonly number[], wanted: number): number {
  return list.filter((one) => one === wanted).length
}

describe('an attempt made anew, towards a hard NAT', () => {
  it('tells the port of its fresh socket, and sprays from that and from the data socket', () => {
    const search = searchOf({})
    search.handleSockets([FRESH], 0, [])
    const effects = run(search, 0, 1000)
    expect(effects).toContainEqual({ kind: 'tell', ports: [5555, 5555] })
    expect([FRESH, MAIN].map((socket) => countOf(sources(effects), socket))).toEqual([50, 50])
  })

  it('sweeps from both what the peer has told, when it has', () => {
    const search = searchOf({ technique: 'sweep', probes: 0 })
    search.handleSockets([FRESH], 0, [])
    expect(sources(run(search, 0, 300))).toEqual([])
    search.meetAt([2000, 2009], 300)
    const later = run(search, 300, 500)
    expect([FRESH, MAIN].map((socket) => countOf(sources(later), socket))).toEqual([10, 10])
  })

  it.each([
    ['that does not answer', true],
    ['that there is not', false],
  ])('goes on from the data socket alone without a server %s', (_what, hasServer) => {
    const search = searchOf({}, hasServer)
    search.handleSockets([FRESH], 0, [])
    expect(sources(run(search, 0, 800, false))).toEqual([])
    const later = run(search, 810, 1500, false)
    expect(new Set(sources(later))).toEqual(new Set([MAIN]))
    expect(later.some(({ kind }) => kind === 'tell')).toBe(false)
  })
})

describe('an attempt made anew, from behind a hard NAT', () => {
  const fan: Partial<HardPlan> = { technique: 'fan', sockets: 3, probes: 0 }

  function targets(effects: readonly HardEffect[]): number[] {
    return effects.flatMap((effect) => (effect.kind === 'send' ? [effect.path.remote.port] : []))
  }

  it('aims at the port that it is told of', () => {
    const search = searchOf(fan)
    search.handleSockets([-1, -2, -3], 0, [])
    expect(targets(run(search, 0, 200))).toEqual([])
    search.meetAt([6000, 6000], 200)
    expect(targets(run(search, 200, 400))).toEqual([6000, 6000, 6000])
    // It would have to begin anew for another one.
    search.meetAt([7000, 7000], 400)
    expect(new Set(targets(run(search, 410, 3000)))).toEqual(new Set([6000]))
  })

  it('aims at the one that is known if it is told of none', () => {
    const search = searchOf(fan)
    search.handleSockets([-1, -2, -3], 0, [])
    const effects = run(search, 0, 3000)
    expect(new Set(targets(effects))).toEqual(new Set([443]))
    const hops = effects.map((effect) => (effect.kind === 'send' ? effect.hops : 0))
    expect(hops).toEqual([4, 4, 4, undefined, undefined, undefined])
  })
})
