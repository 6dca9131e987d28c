/** Networks that recognise WireGuard, and let all else through. */

import { describe, expect, it } from 'vitest'
import type { Path } from '../../../src/net/path.js'
import { HandshakeRoute } from '../../../src/paths/handshake-route.js'
import { BLOCK, PRESERVING, STRICT } from '../../support/nat-kinds.js'
import { PathWorld, RTT_MS } from '../../support/path-world.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

describe('where data does not come through directly, and probes do', () => {
  it('a path carries data on trial, and is left for the relay within 400 ms', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.isDataDropped = true
    world.a.isTcpBlocked = true
    expect(world.untilDirect(1000, [world.a, world.b])).toBeDefined()
    const foundMs = Math.min(
      ...[world.a, world.b].flatMap(({ moves }) => moves.slice(1).map(({ atMs }) => atMs)),
    )
    world.run(1000, [world.a, world.b])
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['relay', 'relay'])
    for (const { moves } of [world.a, world.b]) expect((moves.at(-1)?.atMs ?? 0) - foundMs).toBeLessThan(400)
    world.run(3000, [world.a, world.b])
    expect(world.status(world.a)?.record.code).toBe('DATA_DROPPED')
  })

  it('also where one side only sends, and where nothing is sent but what waits for it', () => {
    for (const talkers of [['a'], ['b'], []] as const) {
      const world = new PathWorld(STRICT, STRICT)
      world.isDataDropped = true
      for (const node of [world.a, world.b]) {
        const other = node === world.a ? world.b : world.a
        world.turn(node, (effects) => node.manager.handleWanted(other.knownKey, world.nowMs, effects))
      }
      world.run(
        2000,
        talkers.map((name) => world[name]),
      )
      for (const { moves } of [world.a, world.b]) {
        expect(moves.map(({ kind }) => kind).slice(0, 3)).toEqual(['relay', 'punched', 'relay'])
      }
    }
  })

  it('is tried again after a while, each time later', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.isDataDropped = true
    world.a.isTcpBlocked = true
    const minutes = 30
    world.run(minutes * 60_000, [world.a])
    const tries = world.a.moves.filter(({ kind }) => kind === 'punched')
    expect(tries.length).toBeGreaterThan(2)
    expect(tries.length).toBeLessThan(9)
    // All that was lost is what was sent on trial.
    const lostMs = world.b.received.reduce(
      ({ sum, lastMs }, { atMs }) => ({ sum: sum + (atMs - lastMs > 100 ? atMs - lastMs : 0), lastMs: atMs }),
      { sum: 0, lastMs: world.b.received[0]?.atMs ?? 0 },
    ).sum
    expect(lostMs).toBeLessThan(tries.length * 400)
    world.isDataDropped = false
    world.run(60 * 60_000, [world.a])
    expect(world.kindOf(world.a)).toBe('punched')
    expect(world.status(world.a)?.record.flaw).toBeUndefined()
  })

  it('is noticed too when it begins while data flows', () => {
    const world = new PathWorld(STRICT, STRICT)
    expect(world.untilDirect(1000, [world.a, world.b])).toBeDefined()
    world.run(3000, [world.a, world.b])
    const startMs = world.nowMs
    world.isDataDropped = true
    world.run(1600, [world.a, world.b])
    expect(world.a.moves.at(-1)?.kind).toBe('relay')
    expect((world.a.moves.at(-1)?.atMs ?? 0) - startMs).toBeLessThan(1500)
  })

  it('is not seen where all comes through, whoever sends, and whatever gets lost', () => {
    for (const talkers of [['a'], ['b'], ['a', 'b'], []] as const) {
      const world = new PathWorld(STRICT, STRICT)
      const random = seededRandom(3)
      world.isLost = () => (random(1)[0] ?? 0) < 64
      const nodes = talkers.map((name) => world[name])
      world.run(60_000, nodes)
      for (const node of [world.a, world.b]) expect(world.status(node)?.record.flaw).toBeUndefined()
      if (talkers.length > 0) expect(world.kindOf(nodes[0] ?? world.a)).toBe('punched')
    }
  })
})

describe('where handshakes do not come through directly', () => {
  const relayed: Path = { socket: 9, remote: endpoint('192.0.2.99', 1), local: undefined }
  const SIGNS = { isProven: true, rttMs: 40, relayRttMs: 80, loss: 0 }

  it('they go both ways until the path has carried data', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.isDataDropped = true
    expect(world.untilDirect(1000, [world.a, world.b])).toBeDefined()
    const apart = [world.a, world.b].find(({ moves }) => moves.length > 1)?.handshakePaths
    expect(apart).toEqual([expect.objectContaining({ socket: 1 }), relayed])
    world.isDataDropped = false
    world.run(500, [world.a, world.b])
    expect([world.a.handshakePaths, world.b.handshakePaths]).toEqual([[], []])
  })

  it('one that stays unanswered goes both ways at once, and data goes on directly', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.run(1000, [world.a, world.b])
    const { activity } = world.a
    const startMs = world.nowMs
    activity.initiationMs = startMs
    while (world.a.handshakePaths.length < 2 && world.nowMs - startMs < 5000)
      world.run(10, [world.a, world.b])
    expect(world.nowMs - startMs).toBeLessThan(300)
    activity.initiationMs = world.nowMs
    world.run(2 * RTT_MS, [world.a, world.b])
    Object.assign(activity, { initiationMs: 0, keypairMs: world.nowMs, responsePath: relayed })
    world.run(100, [world.a, world.b])
    expect(world.status(world.a)?.record.areHandshakesDropped).toBe(true)
    expect(world.kindOf(world.a)).toBe('punched')
    world.run(4 * 60_000, [world.a, world.b])
    expect(world.a.handshakePaths).toEqual([relayed])
    world.run(2 * 60_000, [world.a, world.b])
    expect(world.a.handshakePaths).toEqual([])
  })

  it('one that the path loses by chance is no sign that it drops them', () => {
    const route = new HandshakeRoute()
    const activity = { ...new PathWorld(STRICT, STRICT).a.activity }
    const handshake = (nowMs: number, answeredBy: 'path' | 'relay'): ReturnType<HandshakeRoute['check']> => {
      const signs = { ...SIGNS, activity, answeredBy, loss: 0.1, lastPongMs: nowMs }
      activity.initiationMs = nowMs
      route.check(signs, nowMs)
      Object.assign(activity, { initiationMs: 0, keypairMs: nowMs + 300 })
      return route.check({ ...signs, lastPongMs: nowMs + 250 }, nowMs + 300)
    }
    const ways = ['relay', 'relay', 'relay', 'path', 'relay', 'relay', 'relay', 'relay'] as const
    const outcomes = ways.map((way, i) => handshake(1000 * (i + 1), way))
    const none = ['nothing', 'nothing', 'nothing']
    expect(outcomes).toEqual([...none, 'passed', ...none, 'dropped'])
  })

  it('a path is spared longer each time that it drops one, and a while only once it let one through', () => {
    const route = new HandshakeRoute()
    const activity = { ...new PathWorld(STRICT, STRICT).a.activity }
    let nowMs = 1000
    const at = (initiationMs: number, answeredBy?: 'path' | 'relay'): ReturnType<HandshakeRoute['check']> => {
      Object.assign(activity, { initiationMs, keypairMs: nowMs })
      return route.check({ ...SIGNS, activity, answeredBy, lastPongMs: nowMs }, nowMs)
    }
    const drop = (): number => {
      at(0)
      while (route.way !== 'path') {
        nowMs += 60_000
        at(0)
      }
      const startMs = nowMs
      at(startMs)
      nowMs += 250
      at(startMs)
      expect([route.way, at(0, 'relay')]).toEqual(['both', 'dropped'])
      expect(route.way).toBe('relay')
      while (route.way !== 'path') {
        nowMs += 1000
        at(0)
      }
      return Math.round((nowMs - startMs) / 60_000)
    }
    expect([drop(), drop(), drop(), drop(), drop(), drop()]).toEqual([5, 10, 20, 40, 60, 60])
    at(nowMs)
    expect(at(0, 'path')).toBe('passed')
    expect(drop()).toBe(5)
  })

  it('a path that is spared is tried beside the relay when that does not answer', () => {
    const route = new HandshakeRoute()
    const activity = { ...new PathWorld(STRICT, STRICT).a.activity, initiationMs: 1000, keypairMs: 1000 }
    const signs = { ...SIGNS, activity, answeredBy: 'relay' as const, lastPongMs: 1300 }
    route.check(signs, 1250)
    activity.initiationMs = 0
    expect([route.check(signs, 1300), route.way]).toEqual(['dropped', 'relay'])
    activity.initiationMs = 2000
    route.check(signs, 2400)
    expect(route.way).toBe('relay')
    route.check(signs, 2500)
    expect(route.way).toBe('both')
  })
})

describe('where STUN alone does not come through', () => {
  it('servers are asked under a veil, and hard NATs are crossed as elsewhere', () => {
    const world = new PathWorld(BLOCK, STRICT)
    const { manager } = world.a
    world.a.isStunDropped = true
    world.move(world.a, world.a.outsideAddress)
    world.run(6000)
    expect(manager.own.isStunDropped).toBe(true)
    expect(manager.own.mapping).toBe('addressAndPortDependent')
    expect(world.untilDirect(3000, [world.a, world.b])).toBeDefined()
    world.run(10_000)
    const before = world.a.sent
    world.run(60_000)
    expect(world.a.sent - before).toBeLessThan(30)
  })

  it('and servers do not know a veil either, a NAT that keeps ports is crossed at the address that they see by TCP', () => {
    const world = new PathWorld(PRESERVING, STRICT)
    const { manager } = world.a
    world.a.isStunDropped = true
    world.knowsVeil = false
    world.move(world.a, world.a.outsideAddress)
    world.run(6000)
    expect(manager.own.candidates.map(({ kind }) => kind)).toEqual(['local'])
    const address = endpoint(world.a.outsideAddress, 1).address
    world.turn(world.a, (effects) => manager.setTcpAddress(address, world.nowMs, effects))
    expect(manager.own.candidates).toHaveLength(2)
    expect(world.untilDirect(2000, [world.a, world.b])).toBeDefined()
  })

  it('a network that drops it no more is asked plainly again', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.a.isStunDropped = true
    world.move(world.a, world.a.outsideAddress)
    world.run(6000)
    expect(world.a.manager.own.isStunDropped).toBe(true)
    world.a.isStunDropped = false
    world.move(world.a, '203.0.113.77')
    world.run(1000)
    expect(world.a.manager.own.isStunDropped).toBe(false)
    expect(world.a.manager.own.candidates.map(({ kind }) => kind)).toContain('reflexive')
  })
})

describe('where several sockets of a search get through', () => {
  // Each side chooses one of them, and seldom the same.
  it('data comes in on each of them, at once', () => {
    const world = new PathWorld(STRICT, BLOCK)
    expect(world.untilDirect(3000, [world.a, world.b])).toBeDefined()
    world.run(2000, [world.a, world.b])
    for (const { moves, received } of [world.a, world.b]) {
      expect(moves.map(({ kind }) => kind)).toEqual(['relay', 'punched'])
      const gaps = received.slice(1).map(({ atMs }, i) => atMs - (received[i]?.atMs ?? atMs))
      expect(Math.max(...gaps)).toBeLessThanOrEqual(RTT_MS)
    }
  })

  it('one that cannot become a data socket is given up, and its path with it', () => {
    const world = new PathWorld(STRICT, BLOCK)
    world.canAdopt = false
    world.run(3000, [world.a, world.b])
    expect(world.status(world.b)?.kind).toBe('relay')
    const last = world.a.received.at(-1)
    expect(world.nowMs - (last?.atMs ?? 0)).toBeLessThan(100)
  })
})
