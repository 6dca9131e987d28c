import { describe, expect, test } from 'vitest'
import { REJECT_AFTER_TIME_MS, REKEY_TIMEOUT_MS } from '../../../src/wireguard/constants.js'
import { World } from '../../support/world.js'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

describe('roaming', () => {
  test('follows authentic messages to a new source, and answers there', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'here')
    world.run(100)
    a.moveTo('192.0.2.77')
    a.send(b, 'there')
    world.run(100)
    b.send(a, 'follows')
    world.run(100)
    expect(a.texts).toEqual(['follows'])
    expect(b.endpointOf(a)).toBe('192.0.2.77:51820')
  })

  test('is not led astray by a replayed or forged message from elsewhere', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'x')
    world.run(100)
    const home = b.endpointOf(a)
    for (const { datagram } of world.of('data')) {
      world.deliver(b.from('203.0.113.9', datagram.bytes))
      const forged = datagram.bytes.slice()
      forged[20] = (forged[20] ?? 0) ^ 1
      world.deliver(b.from('203.0.113.9', forged))
    }
    for (const { datagram } of world.of('initiation')) world.deliver(b.from('203.0.113.9', datagram.bytes))
    world.run(100)
    expect(b.endpointOf(a)).toBe(home)
    expect(b.drops()).toMatchObject({ replayed: 1, authenticationFailed: 1, handshakeReplayed: 1 })
  })
})

describe('hostile input', () => {
  test('replayed or bent in any byte changes nothing but counters', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'x')
    world.run(100)
    b.send(a, 'y')
    world.run(100)
    const before = [a.picture(), b.picture()]
    const sent = world.tap.length
    const recorded = [...world.tap]
    for (const { datagram } of recorded) {
      world.deliver(datagram)
      for (let i = 0; i < datagram.bytes.length; i++) {
        const bent = datagram.bytes.slice()
        bent[i] = (bent[i] ?? 0) ^ (1 << (i % 8))
        world.deliver({ ...datagram, bytes: bent })
        world.run(5)
      }
    }
    expect([a.picture(), b.picture()]).toEqual(before)
    expect(b.texts).toEqual(['x'])
    expect(a.texts).toEqual(['y'])
    // Silence: no answer to any of them but, under load, cookie replies to whoever knows our key.
    expect(world.tap.slice(sent).filter(({ type }) => type !== 'cookie')).toEqual([])
  })

  test('of random bytes is answered with silence', () => {
    const world = new World(3)
    const [, b] = world.pair()
    for (let i = 0; i < 3000; i++) {
      const bytes = world.random(i % 300)
      if (i % 2 === 0 && bytes.length > 4) bytes.set([1 + (i % 4), 0, 0, 0])
      world.deliver(b.from('203.0.113.9', bytes))
    }
    world.run(MINUTE_MS)
    expect(world.tap).toEqual([])
  })

  test('from a stranger who knows the public key gets no answer', () => {
    const world = new World()
    const [, b] = world.pair()
    const stranger = world.addNode('stranger')
    stranger.learn(b)
    stranger.send(b, 'let me in')
    world.run(MINUTE_MS)
    expect(world.of('initiation', 'stranger').length).toBeGreaterThan(5)
    expect(world.tap.filter(({ from }) => from === 'b')).toEqual([])
    expect(b.drops().handshakeUnknownPeer).toBeGreaterThan(5)
  })

  test('in a flood makes handshakes cost a cookie, which a real peer pays', () => {
    const world = new World()
    const [a, b] = world.pair()
    const stranger = world.addNode('stranger')
    stranger.learn(b)
    stranger.send(b, 'seed')
    world.run(20)
    const seed = world.of('initiation', 'stranger')[0]
    /** More than is answered without a cookie; load lasts for a second after it. */
    const flood = (): void => {
      for (let i = 0; i < 600; i++) if (seed !== undefined) world.deliver(seed.datagram)
    }
    flood()
    expect(b.drops().handshakeCookieRequired).toBeGreaterThan(50)
    a.send(b, 'through')
    world.run(REKEY_TIMEOUT_MS - 100)
    expect(b.texts).toEqual([])
    flood()
    world.run(500)
    expect(world.of('cookie').filter(({ to }) => to === 'a')).toHaveLength(1)
    expect(b.texts).toEqual(['through'])
  })
})

describe('clocks', () => {
  test('a wall clock set back does not keep a peer out', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(1000)
    world.wallOffsetMs -= 24 * HOUR_MS
    world.run(REJECT_AFTER_TIME_MS)
    a.send(b, 'two')
    world.run(100)
    expect(b.texts).toEqual(['one', 'two'])
  })

  test('a machine that slept for hours makes a new handshake with the first packet', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(1000)
    world.sleep(5 * HOUR_MS)
    a.send(b, 'two')
    world.run(100)
    expect(b.texts).toEqual(['one', 'two'])
    expect(world.counts().initiation).toBe(2)
  })
})
