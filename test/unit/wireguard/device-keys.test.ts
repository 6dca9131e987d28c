import { describe, expect, test } from 'vitest'
import {
  KEEPALIVE_TIMEOUT_MS,
  REJECT_AFTER_TIME_MS,
  REKEY_AFTER_TIME_MS,
  REKEY_TIMEOUT_MS,
  WIPE_AFTER_MS,
} from '../../../src/wireguard/constants.js'
import { converse, World } from '../../support/world.js'

const MINUTE_MS = 60_000

describe('rekeying', () => {
  test('happens every REKEY_AFTER_TIME while traffic flows, by the initiator alone, and loses nothing', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'a starts')
    world.run(1000)
    converse(world, [a, b], 10 * MINUTE_MS)
    const initiations = world.of('initiation')
    expect(new Set(initiations.map(({ from }) => from))).toEqual(new Set(['a']))
    const gaps = initiations.slice(1).map((seen, i) => seen.atMs - (initiations[i]?.atMs ?? 0))
    for (const gap of gaps) {
      expect(gap).toBeGreaterThanOrEqual(REKEY_AFTER_TIME_MS)
      expect(gap).toBeLessThan(REKEY_AFTER_TIME_MS + 2000)
    }
    expect(gaps.length).toBeGreaterThanOrEqual(4)
    expect(a.received).toHaveLength(600)
    expect(b.received).toHaveLength(601)
  })

  test('loses nothing when a fifth of all messages is lost, doubled or late, but what the wire lost', () => {
    const world = new World(7)
    const [a, b] = world.pair()
    let lost = 0
    world.onWire = (seen) => {
      const dice = world.random(1)[0] ?? 0
      if (dice < 20) {
        if (seen.type === 'data') lost += 1
        return []
      }
      if (dice < 35) return [10, 12]
      return dice < 50 ? [45] : [10]
    }
    a.send(b, 'start')
    world.run(20_000)
    lost = 0
    const before = a.received.length + b.received.length
    converse(world, [a, b], 8 * MINUTE_MS, 500)
    world.run(20_000)
    expect(lost).toBeGreaterThan(50)
    expect(a.received.length + b.received.length - before).toBe(4 * 8 * 60 - lost)
    expect(new Set(b.texts).size).toBe(b.texts.length)
  })

  test('by an initiator that only receives happens before the key is too old', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'start')
    world.run(100)
    for (let s = 0; s < 200; s++) {
      b.send(a, `${s}`)
      world.run(1000)
    }
    const second = world.of('initiation', 'a')[1]
    const ageMs = (second?.atMs ?? 0) - (world.of('initiation', 'a')[0]?.atMs ?? 0)
    // Passive keepalives are sent under the key, too, and renew it after REKEY_AFTER_TIME.
    expect(ageMs).toBeGreaterThanOrEqual(REKEY_AFTER_TIME_MS)
    expect(ageMs).toBeLessThan(REJECT_AFTER_TIME_MS)
    expect(a.received).toHaveLength(200)
  })

  test('is needed after silence: an old key is not used, a new handshake is made', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(REJECT_AFTER_TIME_MS + 1000)
    expect(a.state(b)).toBe('idle')
    a.send(b, 'two')
    world.run(100)
    expect(b.texts).toEqual(['one', 'two'])
    expect(world.counts().initiation).toBe(2)
  })

  test('by the former responder works just as well', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(REJECT_AFTER_TIME_MS + 1000)
    b.send(a, 'two')
    world.run(100)
    expect(a.texts).toEqual(['two'])
    expect(world.of('initiation').map(({ from }) => from)).toEqual(['a', 'b'])
  })
})

describe('old keys', () => {
  test('open nothing after REJECT_AFTER_TIME', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(1000)
    world.onWire = (seen) => (seen.type === 'data' ? [REJECT_AFTER_TIME_MS] : [10])
    a.send(b, 'late')
    world.run(2 * REJECT_AFTER_TIME_MS)
    expect(b.texts).toEqual(['one'])
    expect(b.drops()).toMatchObject({ keypairExpired: 1 })
  })

  test('are gone after 3 × REJECT_AFTER_TIME', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(1000)
    const recorded = world.of('data')[0]
    world.run(WIPE_AFTER_MS + 1000)
    if (recorded !== undefined) world.deliver(recorded.datagram)
    expect(b.drops()).toMatchObject({ unknownReceiver: 1 })
  })
})

describe('keepalives', () => {
  test('answer data that nothing else answers, once, after KEEPALIVE_TIMEOUT', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(MINUTE_MS)
    const data = world.of('data')[0]
    const keepalives = world.of('keepalive')
    expect(keepalives.map(({ from }) => from)).toEqual(['b'])
    expect((keepalives[0]?.atMs ?? 0) - (data?.atMs ?? 0)).toBeCloseTo(KEEPALIVE_TIMEOUT_MS + 10, 0)
  })

  test('find out that a peer is dead: unanswered data leads to a handshake', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(KEEPALIVE_TIMEOUT_MS + 1000)
    world.onWire = () => []
    const cutAtMs = world.nowMs
    a.send(b, 'two')
    world.run(20_000)
    const second = world.of('initiation')[1]
    expect((second?.atMs ?? 0) - cutAtMs).toBeGreaterThanOrEqual(KEEPALIVE_TIMEOUT_MS + REKEY_TIMEOUT_MS)
    expect((second?.atMs ?? 0) - cutAtMs).toBeLessThan(16_000)
  })

  test('that are persistent start at once, keep time, and bring a broken tunnel back by themselves', () => {
    const world = new World()
    const [a, b] = world.pair({ persistentKeepaliveS: 25 })
    world.run(100)
    expect(a.state(b)).toBe('connected')
    world.run(5 * MINUTE_MS)
    expect(world.of('keepalive', 'a').length).toBeGreaterThanOrEqual(8)

    world.onWire = () => []
    world.run(10 * MINUTE_MS)
    expect(a.state(b)).not.toBe('connected')
    world.onWire = () => [10]
    world.run(MINUTE_MS)
    expect(a.state(b)).toBe('connected')
  })
})
