import { describe, expect, test } from 'vitest'
import {
  MANAGED_RETRY_MS,
  REKEY_AFTER_TIME_MS,
  REKEY_TIMEOUT_MS,
  WIPE_AFTER_MS,
} from '../../../src/wireguard/constants.js'
import {
  formatKeyBase64,
  keyFromBytes,
  type PrivateKey,
  type PublicKey,
} from '../../../src/wireguard/keys.js'
import { manage, managedPair } from '../../support/managed-pair.js'
import { converse, type Node, World } from '../../support/world.js'

const MINUTE_MS = 60_000

/** They have talked for half a minute, by a keypair that `a` has begun. */
function talkingPair(world: World): readonly [Node, Node] {
  const [a, b] = managedPair(world)
  a.send(b, 'a starts')
  world.run(1000)
  b.send(a, 'b answers')
  converse(world, [a, b], 29_000)
  return [a, b]
}

/** Gives the public key that it had. */
function changeKey(world: World, node: Node): PublicKey {
  const { privateKey, publicKey } = node.snapshot()
  if (privateKey === undefined || publicKey === undefined) throw new Error('no key')
  node.engine.configure({
    privateKey: keyFromBytes<PrivateKey>(world.random(32)),
    previousPrivateKey: keyFromBytes<PrivateKey>(privateKey.slice()),
    peers: [],
  })
  return publicKey
}

function tell(node: Node, peer: Node, previousKey: PublicKey | null): void {
  node.engine.configure({
    peers: [{ publicKey: peer.publicKey, previousKey, isManaged: true, allowedIps: [] }],
  })
}

function endOverlap(node: Node): void {
  node.engine.configure({ previousPrivateKey: null, peers: [] })
}

/** Everything that was sent has come. */
function expectNothingLost([a, b]: readonly [Node, Node], each: number): void {
  expect([a.texts.length, b.texts.length]).toEqual([each, each])
}

describe('a key that changes while traffic flows', () => {
  test.each(['the initiator', 'the responder'])(
    '%s changes it: nothing is lost, and no handshake is made for it',
    (who) => {
      const world = new World()
      const [a, b] = managedPair(world)
      converse(world, [a, b], 30_000)
      const [changing, other] = who === 'the initiator' ? [a, b] : [b, a]
      const before = changeKey(world, changing)
      world.run(100)
      tell(other, changing, before)
      const made = world.of('initiation').length
      converse(world, [a, b], MINUTE_MS)
      expect(world.of('initiation')).toHaveLength(made)
      converse(world, [a, b], 8 * MINUTE_MS)
      endOverlap(changing)
      tell(other, changing, null)
      converse(world, [a, b], 8 * MINUTE_MS)
      expectNothingLost([a, b], 30 + 17 * 60)
      expect(other.snapshot().peers.map(({ publicKey }) => formatKeyBase64(publicKey))).toEqual([
        formatKeyBase64(changing.publicKey),
      ])
      expect(formatKeyBase64(changing.publicKey)).not.toBe(formatKeyBase64(before))
      expect({ ...a.drops(), ...b.drops() }).toEqual({})
    },
  )

  test.each(['a', 'b'])('the other does not hear of it: %s is reached by the previous key', (name) => {
    const world = new World()
    const [a, b] = talkingPair(world)
    changeKey(world, name === 'a' ? a : b)
    converse(world, [a, b], 20 * MINUTE_MS)
    expectNothingLost([a, b], 30 + 20 * 60)
  })

  test.each([true, false])('both change it at once (and hear of each other: %s)', (areTold) => {
    const world = new World()
    const [a, b] = talkingPair(world)
    const [beforeA, beforeB] = [changeKey(world, a), changeKey(world, b)]
    converse(world, [a, b], 5 * MINUTE_MS)
    if (areTold) {
      tell(a, b, beforeB)
      tell(b, a, beforeA)
    }
    converse(world, [a, b], 10 * MINUTE_MS)
    if (areTold) {
      for (const [node, peer] of [
        [a, b],
        [b, a],
      ] as const) {
        endOverlap(node)
        tell(peer, node, null)
      }
      converse(world, [a, b], 10 * MINUTE_MS)
    }
    expectNothingLost([a, b], 30 + (areTold ? 25 : 15) * 60)
  })

  test.each(['a', 'b'])('%s changes it while a handshake is under way', (name) => {
    const world = new World()
    const [a, b] = managedPair(world)
    a.send(b, 'a starts')
    // The initiation travels for 10 ms, the response for as long.
    world.run(name === 'a' ? 15 : 5)
    changeKey(world, name === 'a' ? a : b)
    world.run(1000)
    expect(b.texts).toEqual(['a starts'])
    expect(world.of('initiation')).toHaveLength(1)
  })

  test('data sent under the keypair of before arrives after the peer was told', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    converse(world, [a, b], 5000)
    const made = world.of('initiation').length
    const before = changeKey(world, a)
    a.send(b, 'on its way')
    world.run(2)
    tell(b, a, before)
    world.run(1000)
    expect(b.texts.at(-1)).toBe('on its way')
    expect(world.of('initiation')).toHaveLength(made)
  })
})

describe('a link that is new while a key changes', () => {
  test('is made with the current key at once if the peer was told', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    tell(b, a, changeKey(world, a))
    a.send(b, 'first')
    world.run(100)
    expect(b.texts).toEqual(['first'])
    expect(a.state(b)).toBe('connected')
  })

  test('is made with the previous key at the second attempt if it was not', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    changeKey(world, a)
    a.send(b, 'first')
    world.run(MANAGED_RETRY_MS - 1)
    expect(b.texts).toEqual([])
    world.run(1000)
    expect(b.texts).toEqual(['first'])
    expect(world.of('initiation')).toHaveLength(2)
    expect(b.drops()).toEqual({ handshakeUnknownPeer: 1 })
  })

  test('is made by a peer that knows the previous key only', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    changeKey(world, a)
    b.send(a, 'first')
    world.run(100)
    expect(a.texts).toEqual(['first'])
  })
})

describe('after the overlap', () => {
  test('an initiation to the previous key is refused, also one that was heard before', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    changeKey(world, a)
    b.send(a, 'first')
    world.run(100)
    const [heard] = world.of('initiation')
    if (heard === undefined) throw new Error('no initiation')
    world.deliver(heard.datagram)
    world.run(100)
    expect(a.drops()).toEqual({ handshakeReplayed: 1 })
    endOverlap(a)
    world.deliver(heard.datagram)
    world.run(100)
    expect(a.drops()).toEqual({ handshakeReplayed: 1, handshakeMac1Invalid: 1 })
    expect(world.of('response')).toHaveLength(1)
  })

  test('a peer that was never told is out of reach, until it is', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    converse(world, [a, b], 5000)
    const before = changeKey(world, a)
    endOverlap(a)
    world.run(WIPE_AFTER_MS + MINUTE_MS)
    b.send(a, 'too late')
    world.run(2 * MINUTE_MS)
    expect(a.texts).not.toContain('too late')
    tell(b, a, before)
    b.send(a, 'told')
    world.run(REKEY_TIMEOUT_MS)
    expect(a.texts).toContain('told')
  })

  test('an initiation by the previous key of a peer is refused', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    const before = changeKey(world, a)
    tell(b, a, before)
    tell(b, a, null)
    // Only every second attempt is made with it.
    world.onWire = (seen) => (world.of('initiation').length === 1 && seen.type === 'initiation' ? [] : [10])
    a.send(b, 'first')
    world.run(3 * MANAGED_RETRY_MS - 500)
    expect(b.drops()).toEqual({ handshakeUnknownPeer: 1 })
    expect(b.texts).toEqual([])
    world.run(2 * MANAGED_RETRY_MS)
    expect(b.texts).toEqual(['first'])
  })
})

describe('peers that nobody tells of a change', () => {
  test('are never met with a previous key, and their keypairs end with the key', () => {
    const world = new World()
    const [a, b] = world.pair()
    converse(world, [a, b], 5000)
    const before = changeKey(world, a)
    expect(a.state(b)).toBe('idle')
    a.send(b, 'by a key that b does not know')
    world.run(MINUTE_MS)
    expect(b.texts).not.toContain('by a key that b does not know')
    expect(Object.keys(b.drops())).toEqual(['handshakeUnknownPeer'])
    b.learn(a, { publicKey: before }, { withEndpoint: false })
    b.send(a, 'to the previous key')
    world.run(MINUTE_MS)
    expect(a.texts).not.toContain('to the previous key')
  })

  test('are not taken for a managed one that names their key', () => {
    const world = new World()
    const [a, b] = world.pair()
    converse(world, [a, b], 5000)
    const mallory = world.addNode('mallory')
    tell(a, mallory, b.publicKey)
    converse(world, [a, b], 2 * REKEY_AFTER_TIME_MS)
    expect(a.snapshot().peers).toHaveLength(2)
    expectNothingLost([a, b], 5 + (2 * REKEY_AFTER_TIME_MS) / 1000)
  })
})

describe('a second key of a peer', () => {
  test('that is the key of another peer is left with that one', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    converse(world, [a, b], 5000)
    const mallory = world.addNode('mallory')
    manage(a, mallory)
    tell(a, mallory, b.publicKey)
    converse(world, [a, b], 2 * REKEY_AFTER_TIME_MS)
    expectNothingLost([a, b], 5 + (2 * REKEY_AFTER_TIME_MS) / 1000)
    tell(a, mallory, null)
    expect(a.state(b)).toBe('connected')
  })

  test('that is the second key of another peer is left with that one too', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    const before = changeKey(world, b)
    tell(a, b, before)
    const mallory = world.addNode('mallory')
    manage(a, mallory)
    tell(a, mallory, before)
    // The second attempt is made with the previous key.
    world.onWire = (seen) => (world.of('initiation').length === 1 && seen.type === 'initiation' ? [] : [10])
    b.send(a, 'by the previous key')
    world.run(REKEY_TIMEOUT_MS + 1000)
    expect(world.of('initiation')).toHaveLength(2)
    expect(a.texts).toEqual(['by the previous key'])
  })

  test('goes with the peer: who takes its place begins afresh', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    const before = changeKey(world, b)
    tell(a, b, before)
    a.engine.configure({ peers: [{ publicKey: b.publicKey, remove: true, allowedIps: [] }] })
    b.send(a, 'nobody knows b')
    world.run(MINUTE_MS)
    expect(a.texts).toEqual([])
    expect(Object.keys(a.drops())).toEqual(['handshakeUnknownPeer'])
  })
})
