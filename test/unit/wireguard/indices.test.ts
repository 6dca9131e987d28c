/** Receiver indices over the life of whole devices: each one that is taken is given back. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { IndexTable } from '../../../src/wireguard/index-table.js'
import { World } from '../../support/world.js'

const MINUTE_MS = 60_000
const tables = new Set<IndexTable<unknown>>()

beforeEach(() => {
  tables.clear()
  const claim = IndexTable.prototype.claim
  vi.spyOn(IndexTable.prototype, 'claim').mockImplementation(function (this: IndexTable<unknown>, owner) {
    tables.add(this)
    return claim.call(this, owner)
  })
})

afterEach(() => {
  vi.restoreAllMocks()
})

function live(): number[] {
  return [...tables].map(({ size }) => size)
}

test('a peer has never more than its keypairs and one handshake, whatever the wire does', () => {
  const world = new World(11)
  const [a, b] = world.pair({ persistentKeepaliveS: 7 })
  world.onWire = () => {
    const dice = world.random(1)[0] ?? 0
    return dice < 60 ? [] : dice < 90 ? [10, 4000] : [10]
  }
  for (let i = 0; i < 20 * 60; i++) {
    if (i % 3 === 0) a.send(b, 'x')
    if (i % 5 === 0) b.send(a, 'y')
    world.run(1000)
    expect(Math.max(0, ...live())).toBeLessThanOrEqual(4)
  }
  expect(world.counts().initiation).toBeGreaterThan(9)
})

test.each(['removal', 'another key', 'down', 'silence', 'stop'] as const)(
  'none is left after %s',
  async (end) => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'x')
    b.send(a, 'y')
    world.run(2 * MINUTE_MS + 1000)
    world.onWire = () => [3000]
    a.send(b, 'x')
    world.run(1000)
    expect(live().every((size) => size > 0)).toBe(true)
    const ends = {
      removal: () => a.engine.configure({ replacePeers: true, peers: [] }),
      'another key': () => a.changeKey(),
      down: () => a.engine.down(),
      silence: () => {
        world.onWire = () => []
        world.run(20 * MINUTE_MS)
      },
      stop: () => a.engine.stop(),
    }
    await ends[end]()
    world.onWire = () => []
    world.run(10)
    expect(live()[0]).toBe(0)
  },
)
