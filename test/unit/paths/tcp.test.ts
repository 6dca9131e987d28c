import { describe, expect, it } from 'vitest'
import { STRICT } from '../../support/nat-kinds.js'
import { type NodeOptions, PathWorld } from '../../support/path-world.js'

const LISTENING: NodeOptions = { tcpPort: 40_001 }

function blocked(a: NodeOptions, b: NodeOptions): PathWorld {
  const world = new PathWorld(a, b)
  world.a.isUdpBlocked = true
  world.run(60_000) // until no server's answer is remembered
  return world
}

describe('where UDP does not come through', () => {
  it('two nodes behind NATs connect to each other over TCP at the same time', () => {
    const world = blocked(STRICT, STRICT)
    expect(world.untilDirect(1500, [world.a])).toBeDefined()
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['tcp', 'tcp'])
    expect([world.a.kept.size, world.b.kept.size]).toEqual([1, 1])
    expect([world.a.dialling, world.b.dialling]).toEqual([undefined, undefined])
    const events = world.status(world.a)?.record.events.map(({ text }) => text)
    expect(events).toContain('tried TCP to 203.0.113.2:33002')
  })

  it('a node is connected to where it listens', () => {
    const world = blocked(STRICT, LISTENING)
    world.b.isTcpBlocked = true // it opens none itself
    expect(world.untilDirect(1500, [world.a])).toBeDefined()
    expect(world.kindOf(world.a)).toBe('tcp')
  })

  it('the relay stays where TCP does not come through either, and TCP is not tried for ever', () => {
    const world = blocked(STRICT, STRICT)
    world.a.isTcpBlocked = true
    world.run(600_000, [world.a])
    expect(world.kindOf(world.a)).toBe('relay')
    const attempts = world
      .status(world.b)
      ?.record.events.filter(({ text }) => text.startsWith('tried TCP to')).length
    expect(attempts).toBeLessThanOrEqual(10)
  })

  it('data goes over UDP again when that comes through', () => {
    const world = blocked(STRICT, STRICT)
    world.untilDirect(1500, [world.a])
    world.run(5000, [world.a])
    world.a.isUdpBlocked = false
    world.run(10_000, [world.a])
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['punched', 'punched'])
    // What is not needed any more is closed.
    world.run(180_000, [world.a])
    expect(world.streams.some(({ isOpen }) => isOpen)).toBe(false)
  })

  it('so does data of a relay, however long the fault was', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.untilDirect(1500, [world.a])
    world.b.isTcpBlocked = true
    world.a.isUdpBlocked = true
    world.run(200_000, [world.a, world.b])
    expect(world.kindOf(world.a)).toBe('relay')
    world.a.isUdpBlocked = false
    expect(world.untilDirect(10_000, [world.a, world.b])).toBeDefined()
  })

  it('full datagrams take TCP where a link on the way is too narrow for them', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.maxBytes = 1400
    world.run(30_000, [world.a, world.b])
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['tcp', 'tcp'])
    expect(world.status(world.a)?.record.code).toBe('PATH_NARROW')
  })

  it('the relay takes over at once when the connection is closed, and another one is made', () => {
    const world = blocked(STRICT, STRICT)
    world.untilDirect(1500, [world.a])
    world.run(2000, [world.a])
    const before = world.a.moves.length
    world.closeStream(world.b, world.streams[0]?.b ?? 0)
    world.run(50, [world.a])
    expect(world.a.moves[before]?.kind).toBe('relay')
    world.run(15_000, [world.a])
    expect(world.kindOf(world.a)).toBe('tcp')
  })

  it('a connection that has gone dead without a word is left', () => {
    const world = blocked(STRICT, STRICT)
    world.untilDirect(1500, [world.a])
    world.run(2000, [world.a])
    for (const stream of world.streams) stream.isOpen = false
    world.a.isTcpBlocked = true
    world.run(1500, [world.a])
    expect(world.kindOf(world.a)).toBe('relay')
  })
})
