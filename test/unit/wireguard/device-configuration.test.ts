import { describe, expect, test } from 'vitest'
import { keyFromBytes, type PrivateKey } from '../../../src/wireguard/keys.js'
import { World } from '../../support/world.js'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

describe('configuration while it runs', () => {
  test('a removed peer is a stranger at once', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(100)
    b.engine.configure({ peers: [{ publicKey: a.publicKey, remove: true, allowedIps: [] }] })
    a.send(b, 'two')
    world.run(MINUTE_MS)
    expect(b.texts).toEqual(['one'])
    expect(b.snapshot().peers).toEqual([])
  })

  test('an unchanged peer keeps its keypair through any update of others', () => {
    const world = new World()
    const [a, b] = world.pair()
    const c = world.addNode('c')
    a.send(b, 'one')
    world.run(100)
    a.learn(c)
    a.send(b, 'two')
    world.run(100)
    expect(b.texts).toEqual(['one', 'two'])
    expect(world.counts().initiation).toBe(1)
  })

  test('an allowed IP given to another peer moves, for packets in both directions', () => {
    const world = new World()
    const [a, b] = world.pair()
    const c = world.addNode('c')
    a.learn(c)
    c.learn(a)
    a.send(b, 'to b')
    world.run(100)
    a.engine.configure({
      peers: [{ publicKey: c.publicKey, allowedIps: [{ prefix: b.innerPrefix }] }],
    })
    b.send(a, 'no longer mine')
    a.send(b, 'to c now')
    world.run(100)
    expect(a.texts).toEqual([])
    expect(a.drops()).toMatchObject({ sourceNotAllowed: 1 })
    expect(c.received).toHaveLength(1)
  })

  test('a new private key ends all keypairs, and peers that know it come back', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(100)
    const oldKey = a.publicKey
    a.changeKey()
    b.engine.configure({ peers: [{ publicKey: oldKey, remove: true, allowedIps: [] }] })
    b.learn(a)
    a.send(b, 'two')
    world.run(100)
    expect(b.texts).toEqual(['one', 'two'])
  })

  test('down is silent and forgets keys, up goes on', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(100)
    a.engine.down()
    const sent = world.tap.length
    a.send(b, 'lost')
    world.run(MINUTE_MS)
    expect(world.tap.slice(sent).filter(({ from }) => from === 'a')).toEqual([])
    a.engine.up()
    a.send(b, 'two')
    world.run(100)
    expect(b.texts).toEqual(['one', 'two'])
  })

  test('the private key it has already changes nothing', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'one')
    world.run(100)
    const { privateKey } = a.snapshot()
    if (privateKey !== undefined) {
      a.engine.configure({ privateKey: keyFromBytes<PrivateKey>(privateKey.slice()), peers: [] })
    }
    a.send(b, 'two')
    world.run(15)
    expect(b.texts).toEqual(['one', 'two'])
    expect(world.counts().initiation).toBe(1)
  })

  test('a persistent keepalive set before the sockets are there goes out as soon as they are', () => {
    const world = new World()
    const a = world.addNode('a')
    const b = world.addNode('b')
    b.learn(a)
    a.engine.down()
    a.learn(b, { persistentKeepaliveS: 25 })
    world.run(1000)
    a.engine.up()
    world.run(100)
    expect(a.state(b)).toBe('connected')
    a.engine.down()
    world.run(1000)
    a.engine.up()
    world.run(100)
    expect(a.state(b)).toBe('connected')
  })

  test('down drops what waits, so that up does not send what is stale', () => {
    const world = new World()
    const [a, b] = world.pair()
    a.send(b, 'stale')
    a.engine.down()
    world.run(MINUTE_MS)
    a.engine.up()
    a.send(b, 'fresh')
    world.run(100)
    expect(b.texts).toEqual(['fresh'])
    expect(a.drops()).toMatchObject({ handshakeFailed: 1 })
  })

  test('stop leaves nothing that would wake up', async () => {
    const world = new World()
    const [a, b] = world.pair({ persistentKeepaliveS: 10 })
    a.send(b, 'one')
    world.run(100)
    await a.engine.stop()
    const sent = world.of('keepalive', 'a').length
    world.run(HOUR_MS)
    expect(world.of('keepalive', 'a')).toHaveLength(sent)
    expect(a.openPorts).toBe(0)
  })
})
