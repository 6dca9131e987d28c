/** What becomes of a path once it is found. */

import { describe, expect, it } from 'vitest'
import { equalIp } from '../../../src/net/ip.js'
import { MAX_KEEPALIVE_MS } from '../../../src/paths/keepalive.js'
import { KnownPaths } from '../../../src/paths/known-paths.js'
import { HARD, OPEN, STRICT } from '../../support/nat-kinds.js'
import { type NodeOptions, PathWorld, RTT_MS } from '../../support/path-world.js'
import { endpoint, type MappingLifetime } from '../../support/simulated-nat.js'

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

  it('makes connections to servers doubtful before it is given up, and not without need', () => {
    const world = direct()
    expect(world.a.doubts.filter((atMs) => atMs > world.nowMs - 2000)).toEqual([])
    const startMs = world.nowMs
    world.b.isUdpBlocked = true
    world.run(350, [world.a, world.b])
    expect(world.kindOf(world.a)).toBe('punched')
    expect(world.a.doubts.filter((atMs) => atMs > startMs)).toHaveLength(1)
    world.run(2000, [world.a, world.b])
    expect(world.a.doubts.filter((atMs) => atMs > startMs).length).toBeLessThanOrEqual(3)
  })

  it('because the router got another address is found again, and connections are doubtful', () => {
    const world = direct()
    const startMs = world.nowMs
    world.renumber(world.a, '203.0.113.77')
    world.run(400, [world.a, world.b])
    expect(world.a.doubts.some((atMs) => atMs > startMs)).toBe(true)
    expect(world.untilDirect(3000, [world.a, world.b])).toBeDefined()
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

  it('because its route leads into a tunnel now is left at once, and not tried again', () => {
    const world = direct()
    const { remote } = world.status(world.a)?.path ?? {}
    world.a.isOverlay = (address) => remote !== undefined && equalIp(address, remote.address)
    world.turn(world.a, (effects) => world.a.manager.handleRoutesChanged(world.nowMs, effects))
    expect(world.kindOf(world.a)).toBe('relay')
    world.run(10_000, [world.a, world.b])
    expect(world.kindOf(world.a)).toBe('relay')
    // What the other side sends there is not acted upon either.
    expect(world.a.manager.counters.inside).toBeGreaterThan(0)
    expect(world.status(world.a)?.record.code).toBe('LEADS_INTO_TUNNEL')
    world.a.isOverlay = () => false
    expect(world.untilDirect(10_000, [world.a, world.b])).toBeDefined()
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
      // Its keepalive.
      world.b.activity.lastReceiveMs = world.nowMs
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

describe('a peer that was started anew', () => {
  function talking(): PathWorld {
    const world = new PathWorld(STRICT, STRICT)
    expect(world.untilDirect(2000, [world.a])).toBeDefined()
    world.run(3000, [world.a, world.b])
    expect(world.a.restarts).toEqual([])
    return world
  }

  it.each([50, 700, 3000, 10_000])('is known within a second after it was away for %i ms', (awayMs) => {
    const world = talking()
    world.restart(world.b, awayMs, [world.a])
    const upMs = world.nowMs
    world.run(1000 + 0.2 * awayMs, [world.a])
    expect(world.a.restarts).toHaveLength(1)
    expect((world.a.restarts[0] ?? 0) - upMs).toBeLessThan(awayMs > 5000 ? 1500 : 1000)
  })

  it('is known one round trip after the hub sees it again', () => {
    const world = talking()
    world.restart(world.b, 20_000, [world.a])
    const upMs = world.nowMs
    world.turn(world.a, (effects) => world.a.manager.handleOnline(world.b.knownKey, upMs, effects))
    world.run(2 * RTT_MS, [world.a])
    expect(world.a.restarts).toHaveLength(1)
  })

  it('is known over the direct path alone', () => {
    const world = talking()
    world.isRelayDead = true
    world.restart(world.b, 100, [world.a])
    world.run(1000, [world.a])
    expect(world.a.restarts).toHaveLength(1)
  })

  it('is asked ever more seldom while it is away', () => {
    const world = talking()
    world.b.isAway = true
    const before = world.a.overRelay
    world.run(60_000, [world.a])
    const minute = world.a.overRelay - before
    world.run(60_000, [world.a])
    expect(minute).toBeLessThan(60)
    expect(world.a.overRelay - before - minute).toBeLessThan(40)
  })

  it('is not seen in one that only fell silent', () => {
    const world = talking()
    world.b.isAway = true
    world.run(3000, [world.a])
    world.b.isAway = false
    world.run(3000, [world.a, world.b])
    expect(world.a.restarts).toEqual([])
  })
})
