/** Routers that keep few sessions: searches leave room to whoever else is behind them. */

import { describe, expect, it } from 'vitest'
import { RoomSurvey } from '../../../src/paths/room-survey.js'
import { BLOCK, RANDOM, STRICT, withSessions } from '../../support/nat-kinds.js'
import { type NodeOptions, PathWorld, type WorldNode } from '../../support/path-world.js'

const SESSIONS = 128
const SMALL_RANDOM = withSessions(RANDOM, SESSIONS)
const SMALL_STRICT = withSessions(STRICT, SESSIONS)

/** Questions to servers come through, pings do not. */
function createWorld(a: NodeOptions, b: NodeOptions): PathWorld {
  const world = new PathWorld(a, b)
  world.maxBytes = 70
  return world
}

function texts(world: PathWorld, node: WorldNode): string[] {
  return (world.status(node)?.record.events ?? []).map(({ text }) => text)
}

/** What a fan or a spray was begun with. */
function attempts(world: PathWorld, node: WorldNode): string[] {
  return texts(world, node).filter((text) => text.includes('technique'))
}

describe('a search through a router of 128 sessions', () => {
  it.each([
    ['with hard mappings', SMALL_RANDOM, STRICT],
    ['with easy ones', SMALL_STRICT, RANDOM],
  ])('%s leaves half of what there is, at every attempt', (_, small, other) => {
    const world = createWorld(small, other)
    const { nat } = world.a
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < 2000; i++) {
      world.run(100, [world.a])
      least = Math.min(least, nat?.room ?? 0)
    }
    expect(attempts(world, world.a).length).toBeGreaterThan(1)
    // The rest are questions to servers and pings to endpoints.
    expect(least).toBeGreaterThan(SESSIONS / 2 - 20)
    expect(least).toBeLessThan(SESSIONS / 2)
    expect(world.a.refused).toBe(0)
    expect(texts(world, world.a).join('\n')).toMatch(
      /the router here keeps few sessions: no more than [56]\d are used/,
    )
  })

  it('still finds a path now and then', () => {
    const world = new PathWorld(SMALL_RANDOM, STRICT)
    expect(world.untilDirect(10 * 60_000, [world.a])).toBeDefined()
    expect(world.a.refused).toBe(0)
  })

  it('that cannot be measured stops at a gate, and the reason is told', () => {
    const world = createWorld({ ...SMALL_RANDOM, areServersSilent: true }, STRICT)
    world.run(10_000, [world.a])
    expect(world.a.refused).toBeGreaterThan(0)
    expect(world.a.refused).toBeLessThan(48)
    expect(texts(world, world.a)).toContain('stopped at 128 sockets: the router here keeps no more sessions')
    expect(attempts(world, world.a)).toEqual([expect.stringContaining('256 sockets')])
    world.run(120_000, [world.a])
    expect(attempts(world, world.a)[1]).toContain('76 sockets')
  })
})

describe('a router of many sessions', () => {
  it('is measured once, and the search has all that it wants', () => {
    const world = createWorld(RANDOM, STRICT)
    world.run(200_000, [world.a])
    expect(attempts(world, world.a).length).toBeGreaterThan(1)
    for (const text of attempts(world, world.a)) expect(text).toContain('256 sockets')
    for (const text of attempts(world, world.b)) expect(text).toContain('1160 probes')
    expect([world.a.connections, world.b.connections]).toEqual([482, 482])
  })

  it('is not measured for what any router bears', () => {
    const world = new PathWorld(BLOCK, STRICT)
    expect(world.untilDirect(3000, [world.a])).toBeDefined()
    expect([world.a.connections, world.b.connections]).toEqual([0, 0])
  })
})

describe('the survey of what a router has left', () => {
  /** `answer`: how many of so many connections are refused. */
  function survey(answer: (count: number, burst: number) => number, isAtOnce = true): RoomSurvey {
    const result = new RoomSurvey()
    for (let burst = 0; result.next !== undefined; burst++) {
      expect(burst).toBeLessThan(10)
      result.handleBurst({ refused: answer(result.next, burst), isAtOnce })
    }
    return result
  }
  const within = (room: number) => (count: number) => Math.min(room, count)

  it.each([0, 1, 2, 40, 62, 108, 116, 200])('finds %i free sessions', (room) => {
    expect(survey((count, burst) => (burst === 0 ? 1 : within(room)(count))).room).toBe(room)
  })

  it('finds no lack where a few are lost', () => {
    expect(survey((count) => Math.ceil(0.98 * count)).room).toBe(Number.POSITIVE_INFINITY)
  })

  it.each([
    ['many are lost on the way', (count: number) => Math.ceil(0.7 * count), true],
    ['some are', (count: number) => Math.ceil(0.94 * count), true],
    ['nothing is refused', () => 0, true],
    ['the server is too near for so many to be on the way at once', (count: number) => count, false],
  ])('finds out nothing where %s', (_, answer, isAtOnce) => {
    expect(survey(answer, isAtOnce).room).toBeUndefined()
  })

  it('finds no lack where many are lost for a moment', () => {
    for (const lossy of [2, 3, 4]) {
      const { room } = survey((count, burst) => (burst === lossy ? Math.ceil(0.7 * count) : count))
      expect(room).toBe(Number.POSITIVE_INFINITY)
    }
  })

  it('asks again where the machine was too slow once', () => {
    const result = new RoomSurvey()
    result.handleBurst({ refused: 1, isAtOnce: false })
    expect(result.next).toBe(1)
    result.handleBurst({ refused: 0, isAtOnce: false })
    expect(result.next).toBe(64)
    result.handleBurst({ refused: 64, isAtOnce: false })
    expect(result.next).toBe(64)
    result.handleBurst({ refused: 64, isAtOnce: true })
    expect(result.next).toBe(128)
  })
})
