import { describe, expect, it } from 'vitest'
import { formatHex } from '../../../src/base/bytes.js'
import type { DiscoMessage } from '../../../src/paths/disco.js'
import { discoTagOf } from '../../../src/paths/disco.js'
import { DiscoPair } from '../../../src/paths/disco-pair.js'
import { type PathEffect, PathManager } from '../../../src/paths/path-manager.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { encodeTai64n } from '../../../src/wireguard/tai64n.js'
import { countingBytes } from '../../support/hex.js'
import { STRICT } from '../../support/nat-kinds.js'
import { PathWorld } from '../../support/path-world.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const [A1, A2, B1, B2] = [1, 51, 99, 151].map((first) =>
  nodeCrypto.dhPrivateKey(countingBytes(32, first)),
) as [Key, Key, Key, Key]
type Key = ReturnType<typeof nodeCrypto.dhPrivateKey>

const PING: DiscoMessage = { kind: 'ping', transactionId: countingBytes(12, 1), sizeBytes: 0 }
const CALL: DiscoMessage = {
  kind: 'call',
  timestamp: encodeTai64n(1000),
  mapping: 'none',
  isSequential: false,
  isLost: false,
  triesTcp: false,
  isSearching: false,
  ports: [0, 0],
  candidates: [],
}
const LATE = nodeCrypto.dhPrivateKey(countingBytes(32, 201))
const PATH = { socket: 1, remote: endpoint('203.0.113.7', 7), local: undefined }
const random = seededRandom(3)

function pairOf(own: readonly [Key, Key?], remote: readonly [Key, Key?]): DiscoPair {
  const pair = DiscoPair.tryCreate(nodeCrypto, own[0], remote[0].publicKey)
  if (pair === undefined) throw new Error('no pair')
  pair.setKeys({ current: own[0], previous: own[1] }, remote[0].publicKey, remote[1]?.publicKey)
  return pair
}

describe('a pair whose keys change', () => {
  const ways = {
    'one has changed, the other knows': [pairOf([A2, A1], [B1]), pairOf([B1], [A2, A1])],
    'one has changed, the other does not know': [pairOf([A2, A1], [B1]), pairOf([B1], [A1])],
    'both have changed and know': [pairOf([A2, A1], [B2, B1]), pairOf([B2, B1], [A2, A1])],
    'both have changed, one knows': [pairOf([A2, A1], [B2, B1]), pairOf([B2, B1], [A1])],
    'both have changed, none knows': [pairOf([A2, A1], [B1]), pairOf([B2, B1], [A1])],
    'one has changed and forgotten': [pairOf([A2], [B1]), pairOf([B1], [A2, A1])],
  } as const

  it.each(Object.keys(ways) as (keyof typeof ways)[])(
    'understands within two calls, then always: %s',
    (way) => {
      const [a, b] = ways[way]
      const calls = [1, 2].map(() => b.open(a.seal(CALL, random)))
      expect(calls).toContainEqual(CALL)
      for (let i = 0; i < 3; i++) {
        expect(a.open(b.seal(PING, random))?.kind).toBe('ping')
        expect(b.open(a.seal(PING, random))?.kind).toBe('ping')
      }
    },
  )

  it('goes over to the new key with the first word of who was told', () => {
    const a = pairOf([A2, A1], [B1])
    const old = pairOf([B1], [A1])
    expect(a.open(old.seal(PING, random))).toBeDefined()
    expect(old.open(a.seal(PING, random))).toBeDefined()
    const told = pairOf([B1], [A2, A1])
    expect(a.open(told.seal(PING, random))).toBeDefined()
    const datagram = a.seal(PING, random)
    expect(old.open(datagram)).toBeUndefined()
    expect(discoTagOf(datagram)).toBe(pairOf([B1], [A2]).remoteTags[0])
  })

  it('understands nothing by a key that is none any more', () => {
    const a = pairOf([A2, A1], [B1])
    const datagram = pairOf([B1], [A1]).seal(PING, random)
    a.setKeys({ current: A2, previous: undefined }, B1.publicKey, undefined)
    expect(a.open(datagram)).toBeUndefined()
    expect(a.remoteTags).not.toContain(discoTagOf(datagram))
  })
})

describe('a path between nodes whose keys change', () => {
  it('stays, and is tried and found by the new key', () => {
    const world = new PathWorld(STRICT, STRICT)
    world.untilDirect(3000, [world.a, world.b])
    const moves = world.a.moves.length + world.b.moves.length
    world.changeKey(world.a)
    world.run(500, [world.a, world.b])
    world.tellKey(world.a)
    // Data goes one way alone, so the path is proven by pings.
    world.run(5000, [world.a])
    world.endOverlap(world.a)
    world.run(5000, [world.b])
    expect(world.a.moves.length + world.b.moves.length).toBe(moves)
    world.changeKey(world.b)
    world.tellKey(world.b)
    world.b.isUdpBlocked = true
    world.b.isTcpBlocked = true
    world.run(3000, [world.a, world.b])
    expect(world.kindOf(world.a)).toBe('relay')
    world.b.isUdpBlocked = false
    expect(world.untilDirect(10_000, [world.a, world.b])).toBeDefined()
  })

  it.each(['both', 'one'])('is found also by %s who did not hear of it', (who) => {
    const world = new PathWorld(STRICT, STRICT)
    world.changeKey(world.a)
    if (who === 'both') world.changeKey(world.b)
    expect(world.untilDirect(20_000, [world.a])).toBeDefined()
    expect(world.a.manager.counters.malformed + world.b.manager.counters.malformed).toBe(0)
  })
})

describe('a path manager', () => {
  it('knows a peer under its previous key until the overlap ends, and no other peer by it', () => {
    const manager = new PathManager({
      crypto: nodeCrypto,
      random,
      staticKey: A1,
      mtu: () => 1420,
      isOverlay: () => false,
      wallNowMs: () => 0,
    })
    const relayPath = { socket: 9, remote: endpoint('192.0.2.99', 1), local: undefined }
    const add = ({ publicKey }: Key): boolean => {
      const identity = formatHex(publicKey)
      return manager.addPeer({ identity, publicKey, relayPath, activity: () => undefined }, 0, [])
    }
    expect(add(B1)).toBe(true)
    manager.setPeerKeys(B1.publicKey, B2.publicKey, B1.publicKey)
    expect(manager.status(B1.publicKey)?.kind).toBe('relay')
    expect(manager.status(B2.publicKey)?.kind).toBe('relay')
    expect(add(A2)).toBe(true)
    manager.setPeerKeys(A2.publicKey, A2.publicKey, B2.publicKey)
    const effects: PathEffect[] = []
    manager.removePeer(A2.publicKey, effects)
    // As if a node had signed the key of another that comes later.
    expect(add(A2)).toBe(true)
    manager.setPeerKeys(A2.publicKey, A2.publicKey, LATE.publicKey)
    expect(add(LATE)).toBe(true)
    manager.removePeer(A2.publicKey, effects)
    manager.handleProbe(PATH, pairOf([LATE], [A1]).seal(PING, random), 1, effects)
    expect(manager.counters.unknown).toBe(0)
    expect(manager.status(B2.publicKey)?.kind).toBe('relay')
    manager.setPeerKeys(B2.publicKey, B2.publicKey, undefined)
    expect(manager.status(B1.publicKey)).toBeUndefined()
    const ping = pairOf([B2], [A1]).seal(PING, random)
    manager.handleProbe(PATH, ping, 1, effects)
    expect(manager.counters).toEqual({ unknown: 0, malformed: 0, replayed: 0, inside: 0 })
    manager.handleProbe(PATH, pairOf([B1], [A1]).seal(PING, random), 1, effects)
    expect(manager.counters).toEqual({ unknown: 1, malformed: 0, replayed: 0, inside: 0 })
  })
})
