/** Authentic probes of the peer, played again or passed on by somebody else. */

import { beforeEach, describe, expect, it } from 'vitest'
import { formatIp } from '../../../src/net/ip.js'
import type { Path } from '../../../src/net/path.js'
import type { DiscoMessage } from '../../../src/paths/disco.js'
import { DiscoPair } from '../../../src/paths/disco-pair.js'
import type { PathEffect } from '../../../src/paths/path-manager.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { encodeTai64n } from '../../../src/wireguard/tai64n.js'
import { RANDOM, SEQUENTIAL, STRICT } from '../../support/nat-kinds.js'
import { PathWorld } from '../../support/path-world.js'
import { seededRandom } from '../../support/seeded-random.js'
import { endpoint } from '../../support/simulated-nat.js'

const FRAME_PORT = 9
const ID = new Uint8Array(12)

let world: PathWorld
let peer: DiscoPair
const random = seededRandom(77)

beforeEach(() => {
  world = new PathWorld({}, {})
  const pair = DiscoPair.tryCreate(nobleCrypto, world.b.key, world.a.key.publicKey)
  if (pair === undefined) throw new Error('no pair')
  peer = pair
})

function sealed(message: DiscoMessage): Uint8Array {
  return peer.seal(message, random)
}

/** What `a` does about it. */
function effectsOf(path: Path, bytes: Uint8Array): PathEffect[] {
  const effects: PathEffect[] = []
  world.a.manager.handleProbe(path, bytes, world.nowMs, effects)
  return effects
}

/** Transaction ids of the pings among them that go over this path. */
function challenges(effects: readonly PathEffect[], { remote }: Path): Uint8Array[] {
  return effects.flatMap((effect) => {
    const message = effect.kind === 'send' && effect.path.remote === remote && peer.open(effect.bytes)
    return message && message.kind === 'ping' ? [message.transactionId] : []
  })
}

/** Of a TCP connection. */
function stream(number: number): Path {
  return { socket: FRAME_PORT, remote: endpoint('::', number), local: undefined }
}

const ping = (): Uint8Array => sealed({ kind: 'ping', transactionId: ID, sizeBytes: 0 })

/** Asks `a` over this path, and answers what it asks back. */
function prove(path: Path): PathEffect[] {
  const asked = effectsOf(path, ping())
  const answers = challenges(asked, path).flatMap((transactionId) =>
    effectsOf(
      path,
      sealed({ kind: 'pong', transactionId, observed: path.remote, run: 1, received: 'nothing' }),
    ),
  )
  return [...asked, ...answers]
}

describe('a ping of the peer', () => {
  beforeEach(() => {
    world.a.isUdpBlocked = true
  })

  it('makes a path of a connection of its own', () => {
    expect(prove(stream(2))).toContainEqual(expect.objectContaining({ kind: 'usePath', pathKind: 'tcp' }))
  })

  it('gets nothing over the relay as another node: that one is not to get the data', () => {
    const foreign = { socket: FRAME_PORT, remote: endpoint('192.0.2.77', 1), local: undefined }
    expect(prove(foreign)).toEqual([])
  })

  it('is asked back twenty times a second at most, on however many connections it is played again', () => {
    const again = ping()
    const playOnAll = (): number =>
      Array.from({ length: 300 }, (_, i) => stream(2 + i))
        .map((path) => challenges(effectsOf(path, again), path).length)
        .reduce((sum, count) => sum + count, 0)
    expect(playOnAll()).toBe(20)
    world.nowMs += 1000
    expect(playOnAll()).toBe(0)
    world.nowMs += 1
    expect(playOnAll()).toBe(20)
  })
})

describe('a call of the peer', () => {
  const relay: Path = { socket: FRAME_PORT, remote: endpoint('192.0.2.99', 1), local: undefined }
  const callAt = (wallMs: number): Uint8Array =>
    sealed({
      kind: 'call',
      timestamp: encodeTai64n(wallMs),
      mapping: 'none',
      ports: [0, 0],
      isSequential: false,
      isLost: true,
      triesTcp: false,
      isSearching: false,
      candidates: [{ kind: 'reflexive', endpoint: world.b.inside }],
    })

  beforeEach(() => {
    expect(world.untilDirect(1000, [world.a])).toBeDefined()
  })

  it('that says that a path was lost is believed once, however often the relay plays it again', () => {
    world.nowMs += 5000 // since anything answered
    const news = callAt(world.nowMs + 2000)
    effectsOf(relay, news)
    expect(world.kindOf(world.a)).toBe('relay')
    expect(world.untilDirect(1000, [world.a])).toBeDefined()
    world.nowMs += 5000
    for (const old of [news, callAt(world.nowMs - 5000), callAt(0)]) expect(effectsOf(relay, old)).toEqual([])
    expect(world.kindOf(world.a)).toBe('direct')
    expect(world.a.manager.counters.replayed).toBe(3)
    expect(effectsOf(relay, callAt(world.nowMs + 3000))).not.toEqual([])
  })

  it('is old also for a peer that the hub removed and brought again', () => {
    const { manager, activity } = world.a
    const { publicKey } = world.b.key
    const news = callAt(world.nowMs + 2000)
    expect(effectsOf(relay, news)).not.toEqual([])
    manager.removePeer(publicKey, [])
    const peer = { identity: `${world.b.number}`, publicKey, relayPath: relay, activity: () => activity }
    expect(manager.addPeer(peer, world.nowMs, [])).toBe(true)
    expect(effectsOf(relay, news)).toEqual([])
    expect(manager.counters.replayed).toBe(1)
  })
})

describe('a peer that lies about its NAT', () => {
  const VICTIM = '203.0.113.200'

  it.each([
    [
      'hard, as it is told of a fresh port',
      RANDOM,
      'endpointIndependent',
      (i: number) => [2000 + i, 2000 + i],
    ],
    ['hard, ports in order', SEQUENTIAL, 'endpointIndependent', (i: number) => [2000 + i, 2000 + i]],
    ['easy, as it is told of ports', STRICT, 'addressAndPortDependent', () => [1024, 65_535]],
    ['easy, as it is told of few', STRICT, 'addressAndPortDependent', (i: number) => [2000 + i, 2090 + i]],
  ] as const)('aims little at somebody else with a node that is %s', (_what, own, mapping, portsOf) => {
    const lab = new PathWorld(own, {})
    const pair = DiscoPair.tryCreate(nobleCrypto, lab.b.key, lab.a.key.publicKey)
    if (pair === undefined) throw new Error('no pair')
    lab.b.isAway = true
    const relay: Path = { socket: FRAME_PORT, remote: endpoint('192.0.2.99', 1), local: undefined }
    let aimed = 0
    const { nat } = lab.a
    if (nat === undefined) throw new Error('no NAT')
    const { outbound } = nat
    nat.outbound = (inside, remote) => {
      if (formatIp(remote.address) === VICTIM) aimed += 1
      return outbound.call(nat, inside, remote)
    }
    for (let i = 0; i < 600; i++) {
      const [low = 0, high = 0] = portsOf(i)
      const call = pair.seal(
        {
          kind: 'call',
          timestamp: encodeTai64n(lab.nowMs),
          mapping,
          ports: [low, high],
          isSequential: own === STRICT && high < 65_535,
          isLost: false,
          triesTcp: false,
          isSearching: true,
          candidates: [{ kind: 'reflexive', endpoint: endpoint(VICTIM, 443) }],
        },
        random,
      )
      lab.turn(lab.a, (effects) => lab.a.manager.handleProbe(relay, call, lab.nowMs, effects))
      lab.run(100, [lab.a])
    }
    expect(aimed).toBeLessThan(2500)
  })
})
