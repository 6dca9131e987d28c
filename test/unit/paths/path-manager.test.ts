import { describe, expect, it } from 'vitest'
import { formatEndpoint } from '../../../src/net/endpoint.js'
import { MAX_KEEPALIVE_MS } from '../../../src/paths/keepalive.js'
import { KnownPaths } from '../../../src/paths/known-paths.js'
import type { Dependence } from '../../../src/paths/nat.js'
import { type NodeOptions, PathWorld, RTT_MS } from '../../support/path-world.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint, type MappingLifetime, type SimulatedNatOptions } from '../../support/simulated-nat.js'

function cone(filtering: Dependence): NodeOptions {
  return { nat: { mapping: 'endpointIndependent', filtering, ports: [30_000, 60_000] } }
}

const OPEN: NodeOptions = {}
const FULL = cone('endpointIndependent')
const RESTRICTED = cone('addressDependent')
const STRICT = cone('addressAndPortDependent')
const HARD: Omit<SimulatedNatOptions, 'ports'> = {
  mapping: 'addressAndPortDependent',
  filtering: 'addressAndPortDependent',
}
const SEQUENTIAL: NodeOptions = {
  nat: { ...HARD, ports: 'sequential' },
  ports: { kind: 'sequential', step: 1 },
}
function sequential(more: Partial<SimulatedNatOptions>): NodeOptions {
  return { ...SEQUENTIAL, nat: { ...HARD, ports: 'sequential', ...more } }
}
const RANDOM: NodeOptions = {
  nat: { ...HARD, ports: [1024, 65_535] },
  ports: { kind: 'random', low: 1024, high: 65_535 },
}
const BLOCK: NodeOptions = {
  nat: { ...HARD, ports: [5120, 5631] },
  ports: { kind: 'random', low: 5110, high: 5640 },
}

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
    ['sequential, by address', sequential({ mapping: 'addressDependent' }), SEQUENTIAL, 500, 140],
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
    expect(number).toBeLessThan(0)
    world.turn(a, (effects) => a.manager.handleAdopted(b.key.publicKey, number, 77, world.nowMs, effects))
    a.givenBack.length = 0
    world.turn(a, (effects) => a.manager.removePeer(b.key.publicKey, effects))
    expect(a.givenBack).toContain(77)
    const later = new PathWorld(RANDOM, STRICT)
    later.b.isUdpBlocked = true
    later.run(500, [later.a])
    later.turn(later.a, (effects) => later.a.manager.removePeer(later.b.key.publicKey, effects))
    expect(later.a.givenBack).toEqual(['search'])
  })

  it('are not tried again and again', () => {
    const world = new PathWorld(RANDOM, STRICT)
    world.b.isUdpBlocked = true
    world.run(5000, [world.a])
    const before = world.a.sent
    world.run(50_000, [world.a])
    expect(world.a.sent - before).toBeLessThan(100)
  })
})

describe('a path that is lost', () => {
  function direct(): PathWorld {
    const world = new PathWorld(STRICT, STRICT)
    expect(world.untilDirect(2000, [world.a])).toBeDefined()
    world.run(3000, [world.a, world.b])
    return world
  }

  it('is left for the relay within a second, on both sides, and found again', () => {
    const world = direct()
    const startMs = world.nowMs
    world.b.isUdpBlocked = true
    world.run(1000, [world.a, world.b])
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['relay', 'relay'])
    for (const { moves } of [world.a, world.b]) expect((moves.at(-1)?.atMs ?? 0) - startMs).toBeLessThan(700)
    world.run(5000, [world.a, world.b])
    expect(world.status(world.b)?.record.code).toMatch(/FILTERED|UDP_BLOCKED/)
    world.b.isUdpBlocked = false
    expect(world.untilDirect(10_000, [world.a, world.b])).toBeDefined()
  })

  it('is kept through silence, as long as its pings are answered', () => {
    const world = direct()
    // One side only sends: nothing comes back but answers to pings.
    world.run(20_000, [world.a])
    expect(world.kindOf(world.a)).toBe('punched')
    expect(world.a.moves.filter(({ kind }) => kind === 'relay')).toHaveLength(1)
  })

  it('is given up when nobody talks, without a word', () => {
    const world = direct()
    world.run(400_000)
    expect(world.kindOf(world.a)).toBe('relay')
    const before = world.a.sent
    world.run(100_000)
    expect(world.a.sent - before).toBeLessThan(20)
  })

  it('of a node that moved is found anew', () => {
    const world = direct()
    world.turn(world.a, (effects) => {
      world.a.manager.setSockets({ v4: 1, v6: undefined, port: 40_001 }, world.nowMs, effects)
    })
    expect(world.kindOf(world.a)).toBe('relay')
    expect(world.untilDirect(5000, [world.a, world.b])).toBeDefined()
  })
})

describe('a path over NATs that forget', () => {
  const TRUSTING = { ms: 115_000, youngMs: 30_000 }
  const SHORT = { ms: 32_000, youngMs: 30_000 }

  function behind(lifetime: MappingLifetime): NodeOptions {
    return { nat: { ...HARD, mapping: 'endpointIndependent', ports: [30_000, 60_000], lifetime } }
  }

  /** A word and its answer each 110 s: idle, but in use. */
  function keepInUse(world: PathWorld, times: number): void {
    for (let i = 0; i < times; i++) {
      world.talk(world.a)
      world.run(RTT_MS)
      world.talk(world.b)
      world.run(RTT_MS)
      world.b.activity.firstUnansweredSendMs = 0
      world.run(110_000)
    }
  }

  it.each([
    ['longer on one side', TRUSTING, SHORT],
    ['longer on the other side', SHORT, TRUSTING],
    ['longer on both sides', TRUSTING, TRUSTING],
  ])('is held by heartbeats as seldom as each NAT allows: %s', (_where, left, right) => {
    const world = new PathWorld(behind(left), behind(right))
    for (const [node, lifetime] of [
      [world.a, left],
      [world.b, right],
    ] as const) {
      if (lifetime === TRUSTING) node.manager.setLifetime(110_000)
    }
    expect(world.untilDirect(2000, [world.a])).toBeDefined()
    const before = world.a.moves.length + world.b.moves.length
    keepInUse(world, 6)
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['punched', 'punched'])
    expect(world.a.moves.length + world.b.moves.length).toBe(before)
  })

  it('is held from its first moment, when a NAT does not trust it yet', () => {
    const world = new PathWorld({ nat: { ...HARD, ports: [30_000, 60_000], lifetime: TRUSTING } }, OPEN)
    for (const { manager, activity } of [world.a, world.b]) {
      manager.setLifetime(110_000)
      // Data flowed a while ago, over another path.
      activity.lastDataReceiveMs = world.nowMs - 10_500
    }
    expect(world.untilDirect(2000, [])).toBeDefined()
    world.run(105_000)
    for (const { moves } of [world.a, world.b]) {
      expect(moves.map(({ kind }) => kind)).toEqual(['relay', 'direct'])
    }
  })

  it('costs a fraction once the lifetime is known, and the same as before when it is not any more', () => {
    const world = new PathWorld(behind(TRUSTING), behind(TRUSTING))
    world.untilDirect(2000, [world.a])
    const nodes = [world.a, world.b]
    function costOf(lifetimeMs: number | undefined): number {
      for (const { manager } of nodes) manager.setLifetime(lifetimeMs)
      keepInUse(world, 1)
      const before = world.a.sent
      keepInUse(world, 4)
      return world.a.sent - before
    }
    const usual = costOf(undefined)
    expect(costOf(110_000)).toBeLessThan(usual / 3)
    expect(costOf(undefined)).toBeGreaterThan(0.9 * usual)
  })

  it('is not forgotten where the peer alone uses it, and speaks seldom', () => {
    const paths = new KnownPaths()
    const path = { socket: 1, remote: endpoint('203.0.113.2', 40_000), local: undefined }
    const { known } = paths.proven(path, 'punched', 40, 0, undefined)
    expect(paths.silent(MAX_KEEPALIVE_MS + 2000, undefined)).toEqual([])
    expect(paths.silent(10 * MAX_KEEPALIVE_MS, undefined)).toEqual([known])
  })

  it('leaves questions to servers as seldom, and the first of a place as usual', () => {
    const world = new PathWorld(behind(TRUSTING), OPEN)
    world.a.manager.setLifetime(110_000)
    world.run(200_000)
    const before = world.a.sent
    world.run(880_000)
    expect(world.a.sent - before).toBe(2 * 10)
    world.a.manager.setLifetime(undefined)
    world.run(88_000)
    expect(world.a.sent - before).toBe(2 * 10 + 2 * 4)
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

describe('a path that is too narrow for data', () => {
  it('is left for the relay, and not taken again for a while', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.maxBytes = 1400
    world.a.isTcpBlocked = true
    expect(world.untilDirect(2000, [world.a])).toBeDefined()
    world.run(20_000, [world.a, world.b])
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['relay', 'relay'])
    expect(
      world.status(world.a)?.record.events.some(({ text }) => text.includes('no datagrams of 1452 bytes')),
    ).toBe(true)
    expect(world.status(world.a)?.record.code).toBe('PATH_NARROW')
    world.maxBytes = Number.POSITIVE_INFINITY
    world.run(60_000, [world.a, world.b])
    expect(world.kindOf(world.a)).toBe('relay')
    world.run(10 * 60_000, [world.a, world.b])
    expect(world.kindOf(world.a)).toBe('punched')
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
