/** How paths through NATs of all kinds are found, and what is told and kept of them. */

import { describe, expect, it } from 'vitest'
import { formatEndpoint } from '../../../src/net/endpoint.js'
import {
  BLOCK,
  BY_ADDRESS,
  BY_ADDRESS_UNSEEN,
  FULL,
  OPEN,
  RANDOM,
  RESTRICTED,
  SEQUENTIAL,
  SEQUENTIAL_BY_ADDRESS,
  STRICT,
  sequential,
} from '../../support/nat-kinds.js'
import { PathWorld, RTT_MS } from '../../support/path-world.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

describe('easy NATs', () => {
  const kinds = { open: OPEN, 'full cone': FULL, 'address-restricted': RESTRICTED, 'port-restricted': STRICT }
  const names = Object.keys(kinds) as (keyof typeof kinds)[]
  const pairs = names.flatMap((left, i) => names.slice(i).map((right) => [left, right] as const))

  it.each(pairs)('%s × %s: direct within a call and two round trips', (left, right) => {
    const world = new PathWorld(kinds[left], kinds[right])
    const tookMs = world.untilDirect(3000, [world.a])
    // The call and its answer go over the relay.
    expect(tookMs).toBeLessThanOrEqual(2 * RTT_MS + 2 * RTT_MS)
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(
      Array(2).fill(left === 'open' || right === 'open' ? 'direct' : 'punched'),
    )
  })

  it('get through when every fifth datagram is lost', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.isLost = (count) => count % 5 === 0
    expect(world.untilDirect(3000, [world.a])).toBeLessThan(1500)
  })

  it('keep a path that loses every fifth datagram, though nothing but answers to pings comes back', () => {
    const world = new PathWorld(STRICT, STRICT)
    const random = seededRandom(9)
    world.isLost = () => (random(1)[0] ?? 0) < 0.2 * 256
    expect(world.untilDirect(3000, [world.a])).toBeDefined()
    const before = world.a.moves.length
    world.run(60_000, [world.a])
    const lost = world.a.moves.slice(before).filter(({ kind }) => kind === 'relay')
    // It is asked after five times a second.
    expect(lost.length).toBeLessThanOrEqual(2)
  })

  it('cost nothing while nobody talks', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.run(10_000)
    const before = world.a.sent
    world.run(600_000)
    // Two servers, every 22 s.
    expect(world.a.sent - before).toBeLessThanOrEqual(2 * 28)
    expect(world.kindOf(world.a)).toBe('relay')
    expect(world.status(world.a)?.record.code).toBe('NOT_TRIED')
  })
})

describe('hard NATs', () => {
  it.each([
    ['sequential, against a port-restricted one', SEQUENTIAL, STRICT, 700, 40],
    ['sequential, against one that filters by address', SEQUENTIAL, RESTRICTED, 700, 40],
    ['random, against an open machine', RANDOM, OPEN, 500, 40],
    ['random, against a full cone', RANDOM, FULL, 500, 40],
    ['random, against a port-restricted one', RANDOM, STRICT, 3000, 1500],
    ['of a carrier, against a port-restricted one', BLOCK, STRICT, 2000, 800],
    ['of two carriers', BLOCK, BLOCK, 3000, 3500],
    ['sequential, both', SEQUENTIAL, SEQUENTIAL, 500, 140],
    [
      'sequential, busy',
      sequential({ foreignFlowsPerS: 200 }),
      sequential({ foreignFlowsPerS: 40 }),
      500,
      140,
    ],
    [
      'sequential, in steps',
      sequential({ step: 2 }),
      sequential({ step: 7, foreignFlowsPerS: 100 }),
      500,
      140,
    ],
    ['by address, against a port-restricted one', BY_ADDRESS, STRICT, 3000, 1500],
    ['sequential, by address', SEQUENTIAL_BY_ADDRESS, SEQUENTIAL, 500, 140],
  ] as const)('%s', (_name, left, right, limitMs, budget) => {
    const world = new PathWorld(left, right)
    const before = world.a.sent + world.b.sent
    expect(world.untilDirect(limitMs, [world.a])).toBeDefined()
    expect(world.a.sent + world.b.sent - before).toBeLessThanOrEqual(budget + 200)
    world.run(3000, [world.a])
    expect(world.kindOf(world.a)).toBe(right === OPEN ? 'direct' : 'punched')
  })

  describe('sequential on both sides', () => {
    function techniques(world: PathWorld): string[] {
      return [world.a, world.b].flatMap((node) =>
        (world.status(node)?.record.events ?? []).flatMap(
          ({ text }) => /hard NATs: (.*)/.exec(text)?.[1] ?? [],
        ),
      )
    }

    /** Until both have asked for their ports, and the later one has not heard of them yet. */
    function untilAsked(world: PathWorld): void {
      while (techniques(world).length < 2) world.run(1, [world.a])
      world.run(RTT_MS - 5, [world.a])
    }

    it('meet with few sockets, once', () => {
      const world = new PathWorld(SEQUENTIAL, SEQUENTIAL)
      world.run(10_000, [world.a, world.b])
      expect(techniques(world)).toEqual(Array(2).fill('meet, 64 sockets'))
      expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['punched', 'punched'])
    })

    it.each([
      ['took more ports than were reckoned with', (world: PathWorld) => world.a.nat?.skipPorts(100)],
      ['began anew at its lowest port', (world: PathWorld) => world.b.nat?.beginAnew()],
    ])('meet in another round where one %s', (_name, disturb) => {
      const world = new PathWorld(SEQUENTIAL, SEQUENTIAL)
      untilAsked(world)
      disturb(world)
      const before = world.a.sent + world.b.sent
      expect(world.untilDirect(400, [world.a])).toBeUndefined()
      expect(world.untilDirect(1000, [world.a])).toBeDefined()
      expect(world.a.sent + world.b.sent - before).toBeLessThan(4 * 64 + 100)
      expect(techniques(world)).toHaveLength(2)
    })

    it('meet in the second round where others take more ports all the time than were reckoned with', () => {
      const fast = sequential({ foreignFlowsPerS: 1000, step: 2 })
      for (const [left, right] of [
        [fast, SEQUENTIAL],
        [SEQUENTIAL, fast],
        [fast, fast],
      ] as const) {
        const world = new PathWorld(left, right)
        expect(world.untilDirect(600, [world.a])).toBeUndefined()
        expect(world.untilDirect(1000, [world.a])).toBeDefined()
      }
    })

    it('end where nothing comes through, and are spared for a while', () => {
      const world = new PathWorld(SEQUENTIAL, SEQUENTIAL)
      world.maxBytes = 70 // questions to servers come through, pings do not
      const before = world.a.sent
      world.run(5000, [world.a])
      const after = world.a.sent
      expect(after - before).toBeGreaterThan(2 * 64)
      expect(after - before).toBeLessThan(2 * 64 + 100)
      world.run(50_000, [world.a])
      expect(world.a.sent - after).toBeLessThan(100)
      expect(techniques(world)).toHaveLength(2)
    })
  })

  describe('by address, as servers with two addresses and two ports tell', () => {
    const servers = [
      endpoint('198.51.100.1', 3478),
      endpoint('198.51.100.2', 3479),
      endpoint('198.51.100.1', 3479),
    ]

    it.each([
      ['both', BY_ADDRESS, BY_ADDRESS, 3000, 1750],
      ['against a random one', BY_ADDRESS, RANDOM, 3000, 1500],
      ['against one in order', BY_ADDRESS, SEQUENTIAL, 3000, 1500],
      ['against one of a carrier', BY_ADDRESS, BLOCK, 3000, 1500],
      ['and in order, against a random one', SEQUENTIAL_BY_ADDRESS, RANDOM, 700, 140],
    ] as const)('%s', (_name, left, right, limitMs, budget) => {
      for (const [a, b] of [
        [left, right],
        [right, left],
      ] as const) {
        const world = new PathWorld(a, b, servers)
        const before = world.a.sent + world.b.sent
        expect(world.untilDirect(limitMs, [world.a])).toBeDefined()
        expect(world.a.sent + world.b.sent - before).toBeLessThanOrEqual(budget + 200)
      }
    })
  })

  describe('where servers have one address, and cannot tell', () => {
    const servers = [endpoint('198.51.100.1', 3478), endpoint('198.51.100.1', 3479)]

    it.each([
      ['by address, against a port-restricted one', BY_ADDRESS_UNSEEN, STRICT],
      ['by address, both', BY_ADDRESS_UNSEEN, BY_ADDRESS_UNSEEN],
      ['by address, against one that filters by address', BY_ADDRESS_UNSEEN, RESTRICTED],
      // What follows from what is known fails first.
      ['by address, against a random one', BY_ADDRESS_UNSEEN, RANDOM],
      ['a random one, against one by address', RANDOM, BY_ADDRESS_UNSEEN],
    ] as const)('are thought of when plain pings fail: %s', (_name, left, right) => {
      const world = new PathWorld(left, right, servers)
      const { peerMapping } = world.status(world.a) ?? {}
      expect([peerMapping, world.status(world.b)?.peerMapping]).toContain('unknown')
      expect(world.untilDirect(6000, [world.a])).toBeDefined()
    })

    it('are not searched for again and again where something else stops UDP', () => {
      const world = new PathWorld(STRICT, STRICT, servers)
      world.maxBytes = 70 // questions to servers come through, pings do not
      world.a.isTcpBlocked = true
      world.run(5000, [world.a])
      const before = world.a.sent
      world.run(50_000, [world.a])
      expect(world.a.sent - before).toBeLessThan(150)
      expect(world.status(world.a)?.record.code).toBe('FILTERED')
    })
  })

  it('random on both sides, over all ports, end in silence and a reason', () => {
    const world = new PathWorld(RANDOM, RANDOM)
    const before = world.a.sent + world.b.sent
    expect(world.untilDirect(60_000, [world.a])).toBeUndefined()
    expect(world.a.sent + world.b.sent - before - 60 * 50).toBeLessThan(1100)
    expect(world.status(world.a)?.record.code).toBe('BOTH_NATS_HARD')
  })

  it('give their sockets back when the peer goes', () => {
    const world = new PathWorld(RANDOM, STRICT)
    const { a, b } = world
    expect(world.untilDirect(3000, [a])).toBeDefined()
    world.run(1000, [a])
    const number = a.path?.socket ?? 0
    expect(number).toBeGreaterThan(1000)
    a.givenBack.length = 0
    world.turn(a, (effects) => a.manager.removePeer(b.key.publicKey, effects))
    expect(a.givenBack).toContain(number)
    const later = new PathWorld(RANDOM, STRICT)
    later.b.isUdpBlocked = true
    later.run(500, [later.a])
    later.turn(later.a, (effects) => later.a.manager.removePeer(later.b.key.publicKey, effects))
    expect(later.a.givenBack).toEqual(['search'])
  })

  it('are not tried again and again', () => {
    const world = new PathWorld(RANDOM, STRICT)
    world.b.isUdpBlocked = true
    // Once more, from a fresh port of the other side.
    world.run(9000, [world.a])
    const before = world.a.sent
    world.run(50_000, [world.a])
    expect(world.a.sent - before).toBeLessThan(100)
  })
})

describe('how a NAT chooses ports', () => {
  it('is asked once for each network, and known again when the node comes back', () => {
    const world = new PathWorld(RANDOM, STRICT)
    expect(world.a.surveys).toBe(1)
    const home = world.a.outsideAddress
    world.move(world.a, '203.0.113.77')
    world.run(2000)
    expect(world.a.surveys).toBe(2)
    world.move(world.a, home)
    world.run(2000)
    expect(world.a.surveys).toBe(2)
    expect(world.a.manager.own.ports).toEqual([1024, 65_535])
    expect(world.untilDirect(3000, [world.a])).toBeDefined()
  })
})

describe('what a router maps', () => {
  it('is told at the address that servers see, by UDP and by TCP', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.run(1000)
    const { manager } = world.b
    const mapped = (): string[] =>
      manager.own.candidates
        .filter(({ kind }) => kind === 'mapped' || kind === 'tcp')
        .map(({ kind, endpoint }) => `${kind} ${formatEndpoint(endpoint)}`)
    expect(mapped()).toEqual([])
    world.turn(world.b, (effects) => manager.setMappedTcpPort(443, world.nowMs, effects))
    world.turn(world.b, (effects) => manager.setMappedPort(5000, world.nowMs, effects))
    expect(mapped()).toEqual(['mapped 203.0.113.2:5000', 'tcp 203.0.113.2:443'])
    world.turn(world.b, (effects) => manager.setMappedPort(undefined, world.nowMs, effects))
    expect(mapped()).toEqual(['tcp 203.0.113.2:443'])
    world.turn(world.b, (effects) => manager.setMappedTcpPort(undefined, world.nowMs, effects))
    expect(mapped()).toEqual([])
  })
})

describe('what a peer may make a node do', () => {
  it('is bounded: a victim named as its endpoint gets few datagrams', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.b.isUdpBlocked = true
    world.run(60_000, [world.a])
    // Its two endpoints, at most sixteen each in a minute, and questions to two servers.
    expect(world.status(world.a)?.record.probes).toBeLessThanOrEqual(2 * 16)
  })

  it('is nothing for strangers and for damaged probes, but they are counted', () => {
    const world = new PathWorld(STRICT, STRICT)
    const { manager } = world.a
    const path = { socket: 1, remote: world.b.inside, local: undefined }
    const probe = new Uint8Array(100)
    probe.set([0x6f, 0x76, 0x6c, 1])
    const before = world.a.sent
    world.turn(world.a, (effects) => manager.handleProbe(path, probe, world.nowMs, effects))
    expect([manager.counters.unknown, world.a.sent - before]).toEqual([1, 0])
  })
})
