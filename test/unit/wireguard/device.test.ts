import { describe, expect, test } from 'vitest'
import {
  KEEPALIVE_TIMEOUT_MS,
  MAX_STAGED_PACKETS,
  REJECT_AFTER_TIME_MS,
  REKEY_AFTER_TIME_MS,
  REKEY_ATTEMPT_TIME_MS,
  REKEY_JITTER_MS,
  REKEY_TIMEOUT_MS,
  WIPE_AFTER_MS,
} from '../../../src/wireguard/constants.js'
import { keyFromBytes, type PrivateKey } from '../../../src/wireguard/keys.js'
import { type Node, World } from '../../support/world.js'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** One packet each way every `everyMs` for `forMs`. */
function converse(world: World, [a, b]: readonly [Node, Node], forMs: number, everyMs = 1000): void {
  for (let passedMs = 0; passedMs < forMs; passedMs += everyMs) {
    a.send(b, `a${passedMs}`)
    b.send(a, `b${passedMs}`)
    world.run(everyMs)
  }
}

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
