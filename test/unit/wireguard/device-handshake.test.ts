import { describe, expect, test } from 'vitest'
import {
  MAX_STAGED_PACKETS,
  REKEY_ATTEMPT_TIME_MS,
  REKEY_JITTER_MS,
  REKEY_TIMEOUT_MS,
} from '../../../src/wireguard/constants.js'
import { converse, World } from '../../support/world.js'

const MINUTE_MS = 60_000

describe('the handshake', () => {
  test('starts with the first packet, which arrives after one and a half round trips', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'first')
    world.run(29)
    expect(b.texts).toEqual([])
    world.run(2)
    expect(b.texts).toEqual(['first'])
    expect(world.counts()).toMatchObject({ initiation: 1, response: 1, data: 1, keepalive: 0 })
    expect(a.state(b)).toBe('connected')
    expect(b.state(a)).toBe('connected')
  })

  test('lets the responder send as soon as the initiator has proven its keys', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'ping')
    world.run(31)
    b.send(a, 'pong')
    world.run(11)
    expect(a.texts).toEqual(['pong'])
    expect(world.counts().initiation).toBe(1)
  })

  test('of the peer is waited for by a responder with packets, instead of starting one of its own', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'ping')
    world.run(12)
    b.send(a, 'early')
    world.run(40)
    expect(a.texts).toEqual(['early'])
    expect(world.counts()).toMatchObject({ initiation: 1, response: 1 })
  })

  test('works with a preshared key, and never completes with two different ones', () => {
    const world = new World()
    const a = world.addNode('a')
    const b = world.addNode('b')
    a.learn(b, { presharedKey: world.presharedKey(1) })
    b.learn(a, { presharedKey: world.presharedKey(1) })
    a.send(b, 'x')
    world.run(100)
    expect(b.texts).toEqual(['x'])

    const other = new World()
    const c = other.addNode('c')
    const d = other.addNode('d')
    c.learn(d, { presharedKey: other.presharedKey(1) })
    d.learn(c, { presharedKey: other.presharedKey(2) })
    c.send(d, 'x')
    other.run(30_000)
    expect(d.texts).toEqual([])
    expect(c.drops().handshakeInvalid).toBeGreaterThan(0)
    expect(c.state(d)).toBe('handshaking')
  })

  test('started by both at the same moment is over in one round trip, with no packet lost', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'from a')
    b.send(a, 'from b')
    world.run(100)
    expect(b.texts).toEqual(['from a'])
    expect(a.texts).toEqual(['from b'])
    converse(world, [a, b], 10_000)
    expect(world.counts()).toMatchObject({ initiation: 2, response: 2 })
    expect(a.received).toHaveLength(11)
    expect(b.received).toHaveLength(11)
  })

  test('started by both is renewed by one of them alone', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'from a')
    b.send(a, 'from b')
    world.run(1000)
    expect(world.of('initiation').map(({ from }) => from)).toEqual(['a', 'b'])
    converse(world, [a, b], 10 * MINUTE_MS)
    const renewals = world.of('initiation').slice(2)
    expect(new Set(renewals.map(({ from }) => from)).size).toBe(1)
    expect(renewals).toHaveLength(4)
    expect(a.received).toHaveLength(601)
    expect(b.received).toHaveLength(601)
  })

  test('keeps the newest packets while it runs, and counts the others', () => {
    const world = new World()
    const [a, b] = world.pair()
    const surplus = 10
    for (let i = 0; i < MAX_STAGED_PACKETS + surplus; i++) a.send(b, `p${i}`)
    world.run(100)
    expect(b.texts).toEqual(Array.from({ length: MAX_STAGED_PACKETS }, (_, i) => `p${i + surplus}`))
    expect(a.drops()).toMatchObject({ stagedOverflow: surplus })
  })

  test.each(['initiation', 'response'] as const)('survives a lost %s by a retransmit', (type) => {
    const world = new World()
    const [a, b] = world.pair()
    let isLost = false
    world.onWire = (seen) => {
      if (seen.type !== type || isLost) return [10]
      isLost = true
      return []
    }
    a.send(b, 'patient')
    world.run(REKEY_TIMEOUT_MS)
    expect(b.texts).toEqual([])
    world.run(REKEY_JITTER_MS + 100)
    expect(b.texts).toEqual(['patient'])
    expect(world.counts().initiation).toBe(2)
  })

  test('is given up after REKEY_ATTEMPT_TIME: staged packets go, the state says so, a new packet starts over', () => {
    const world = new World()
    const [a, b] = world.pair()
    world.onWire = () => []
    a.send(b, 'lost')
    world.run(REKEY_ATTEMPT_TIME_MS + 10_000)
    const tries = world.counts().initiation
    expect(tries).toBeGreaterThanOrEqual(17)
    expect(a.state(b)).toBe('unreachable')
    expect(a.drops()).toMatchObject({ handshakeFailed: 1 })
    world.run(5 * MINUTE_MS)
    expect(world.counts().initiation).toBe(tries)

    world.onWire = () => [10]
    a.send(b, 'again')
    world.run(100)
    expect(b.texts).toEqual(['again'])
    expect(a.state(b)).toBe('connected')
  })

  test('tells its driver that it keeps failing, so that names can be resolved again', () => {
    const world = new World()
    const [a, b] = world.pair()
    world.onWire = () => []
    a.send(b, 'lost')
    world.run(30_000)
    expect(a.failing.map(({ attempts }) => attempts)).toEqual([1, 2, 3, 4, 5])
  })

  test('is not started for a peer without endpoint, whose packets are counted as dropped', () => {
    const world = new World()
    const a = world.addNode('a')
    const b = world.addNode('b')
    a.learn(b, {}, { withEndpoint: false })
    a.send(b, 'nowhere')
    world.run(MINUTE_MS)
    expect(world.tap).toEqual([])
    expect(a.drops()).toMatchObject({ noPath: 1 })
  })

  test('is impossible with a key of low order, and harmless', () => {
    const world = new World()
    const a = world.addNode('a')
    const b = world.addNode('b')
    a.learn(b)
    a.learnKey(new Uint8Array(32), b)
    a.send(b, 'x')
    world.run(MINUTE_MS)
    expect(world.counts().initiation).toBe(0)
    expect(a.snapshot().peers).toHaveLength(2)
  })

  test('does not happen with oneself', () => {
    const world = new World()
    const a = world.addNode('a')
    a.learn(a)
    expect(a.snapshot().peers).toEqual([])
  })
})
