import { beforeEach, describe, expect, it } from 'vitest'
import { formatBase64, tryParseBase64 } from '../../../src/base/bytes.js'
import { networkPrefix4 } from '../../../src/control/addresses.js'
import { tryOpenTicket } from '../../../src/control/ticket.js'
import { signTunnelKey } from '../../../src/control/tunnel-key.js'
import { createNetwork } from '../../../src/hub/create-network.js'
import type { SessionId } from '../../../src/hub/effects.js'
import { MemoryStore } from '../../../src/hub/memory-store.js'
import { Registry } from '../../../src/hub/registry.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { type PublicKey, tryParseKeyBase64 } from '../../../src/wireguard/keys.js'
import { helloOf, previousKeyOf, type TestNode, testNode, WALL_MS } from '../../support/control.js'
import { countingBytes } from '../../support/hex.js'
import { HubWorld, IDENTITY, RELAY } from '../../support/hub-world.js'
import { seededRandom } from '../../support/seeded-random.js'

let world: HubWorld
const ALICE = testNode(1)
const BOB = testNode(2)
const CAROL = testNode(3)

beforeEach(() => {
  world = new HubWorld()
})

describe('enrolment', () => {
  it('gives a node its place, and a ticket for relays', () => {
    world.join(1, ALICE, 'alice')
    const [welcome, nodes] = world.heard(1)
    expect(welcome).toMatchObject({ type: 'welcome', network: 'home', name: 'alice', relays: [RELAY] })
    expect(nodes).toEqual({ type: 'nodes', changed: [], removed: [], isComplete: true })
    if (welcome === 'close' || welcome?.type !== 'welcome') throw new Error('no welcome')
    expect(welcome.v4).toMatch(/^100\.\d+\.\d+\.\d+$/)
    const ticket = tryParseBase64(welcome.ticket) ?? new Uint8Array(0)
    const { epoch } = world.registry.revocations
    const terms = tryOpenTicket(IDENTITY.publicKey, ticket, ALICE.identity.publicKey)
    expect(terms).toEqual({ issuedAtS: WALL_MS / 1000, epoch })
    expect(world.store.audit(1)[0]).toMatchObject({ event: 'node.enrolled', subject: 'alice' })
  })

  it('needs a token that exists, is not used up, and has not expired', () => {
    world.say(1, helloOf(ALICE, { secret: '' }))
    world.say(2, helloOf(ALICE, { secret: formatBase64(countingBytes(16)) }))
    world.say(3, helloOf(ALICE, { secret: 'no base64' }))
    const once = world.token()
    world.say(4, helloOf(ALICE, { secret: once, name: 'alice' }))
    world.say(5, helloOf(BOB, { secret: once, name: 'bob' }))
    const short = world.token()
    world.nowMs += 60_001
    world.say(6, helloOf(CAROL, { secret: short }))
    for (const session of [1, 2, 3, 5, 6]) {
      expect(world.heard(session)).toMatchObject([{ type: 'refused', code: 'token' }, 'close'])
    }
    expect(world.heard(4)[0]).toMatchObject({ type: 'welcome' })
    expect(world.hub.counters.refused).toBe(5)
  })

  it('may be counted', () => {
    const secret = world.token({ uses: 2 })
    for (const [session, node] of [ALICE, BOB, CAROL].entries()) world.say(session, helloOf(node, { secret }))
    expect([0, 1, 2].map((session) => world.heard(session)[0])).toMatchObject([
      { type: 'welcome', name: 'node' },
      { type: 'welcome', name: 'node-2' },
      { type: 'refused', code: 'token' },
    ])
  })

  it('keeps names unique: one that a person asks for is refused, one of a machine or a token numbered', () => {
    const isNameAsked = true
    world.join(1, ALICE, 'planner')
    world.say(2, helloOf(BOB, { secret: world.token(), name: 'planner', isNameAsked }))
    const DAVE = testNode(4)
    world.say(3, helloOf(CAROL, { secret: world.token({ nodeName: 'planner' }) }))
    world.say(4, helloOf(DAVE, { secret: world.token(), name: 'planner' }))
    const long = `${'x'.repeat(62)}y`
    world.say(5, helloOf(testNode(5), { secret: world.token(), name: long }))
    world.say(6, helloOf(testNode(6), { secret: world.token(), name: long }))
    expect(world.heard(2)[0]).toMatchObject({ code: 'name', hint: expect.stringContaining('--name') })
    expect([3, 4, 5, 6].map((session) => world.heard(session)[0])).toMatchObject([
      { type: 'welcome', name: 'planner-2' },
      { type: 'welcome', name: 'planner-3' },
      { type: 'welcome', name: long },
      { type: 'welcome', name: `${'x'.repeat(57)}-2` },
    ])
  })

  it('whose token names it is told so when it asks for another name, and keeps the token', () => {
    const secret = world.token({ nodeName: 'planner' })
    world.say(1, helloOf(ALICE, { secret, name: 'scraper', isNameAsked: true }))
    expect(world.heard(1)[0]).toMatchObject({
      code: 'name',
      message: expect.stringContaining('for a node named "planner"'),
      hint: expect.stringContaining('--name'),
    })
    world.say(2, helloOf(ALICE, { secret, name: 'laptop' }))
    expect(world.heard(2)[0]).toMatchObject({ type: 'welcome', name: 'planner' })
    world.say(3, helloOf(BOB, { secret: world.token({ nodeName: 'bob' }), name: 'bob', isNameAsked: true }))
    expect(world.heard(3)[0]).toMatchObject({ type: 'welcome', name: 'bob' })
    world.say(4, helloOf(CAROL, { secret: world.token({ nodeName: 'bob' }), name: 'bob', isNameAsked: true }))
    expect(world.heard(4)[0]).toMatchObject({
      code: 'name',
      hint: expect.stringContaining('leave --name out'),
    })
  })

  it('leases no address twice, and none that a node sees by itself', () => {
    const leases = new Set<string>()
    for (let i = 1; i <= 50; i++) {
      world.join(i, testNode(i), `n${i}`)
      const [welcome] = world.heard(i)
      if (welcome !== 'close' && welcome?.type === 'welcome') leases.add(welcome.v4)
    }
    expect(leases.size).toBe(50)
    const { prefix4 } = world.registry.network
    world.say(99, helloOf(testNode(99), { secret: world.token(), localPrefixes: [prefix4] }))
    expect(world.heard(99)[0]).toMatchObject({ code: 'address', hint: expect.stringContaining(prefix4) })
  })

  it('is refused without proof of the identity, and of the tunnel key', () => {
    const proof = helloOf(BOB).proof
    world.say(1, helloOf(ALICE, { secret: world.token(), proof }))
    world.say(2, helloOf(ALICE, { secret: world.token(), tunnelKey: BOB.tunnelKey }))
    const handshakeHash = countingBytes(32, 9)
    world.hub.handleMessage(3, helloOf(ALICE), { handshakeHash, from: '192.0.2.1' }, world.sent)
    for (const session of [1, 2, 3]) {
      expect(world.heard(session)).toMatchObject([{ type: 'refused', code: 'malformed' }, 'close'])
    }
    expect(world.registry.nodeCount).toBe(0)
  })
})

describe('what nodes hear', () => {
  beforeEach(() => {
    world.join(1, ALICE, 'alice')
    world.join(2, BOB, 'bob')
  })

  it('is all others at first, then what changed', () => {
    expect(world.heard(2)).toMatchObject([
      { type: 'welcome' },
      { changed: [{ name: 'alice', isOnline: true }], isComplete: true },
    ])
    expect(world.heard(1).at(-1)).toMatchObject({ type: 'nodes', changed: [{ name: 'bob', isOnline: true }] })
    const relayRtts = { [RELAY.key]: 12 }
    world.say(2, { type: 'update', relayRtts })
    expect(world.heard(1)).toMatchObject([{ changed: [{ name: 'bob', relayRtts }] }])
    expect(world.heard(2)).toEqual([])
    world.hub.handleClosed(2, world.sent)
    expect(world.heard(1)).toMatchObject([{ changed: [{ name: 'bob', isOnline: false, relayRtts: {} }] }])
  })

  it('is of those alone who share a tag, or have none', () => {
    const tagged = (session: SessionId, node: TestNode, tags: string[]): void => {
      world.say(session, helloOf(node, { secret: world.token({ tags }), name: `t${session}` }))
    }
    tagged(10, testNode(10), ['red'])
    tagged(11, testNode(11), ['blue'])
    world.heard(10)
    world.heard(1)
    tagged(12, testNode(12), ['blue', 'green'])
    const list = world.heard(12)[1]
    const names = list !== 'close' && list?.type === 'nodes' ? list.changed.map(({ name }) => name) : []
    expect(names).toEqual(['alice', 'bob', 't11'])
    expect(world.heard(10)).toEqual([])
    expect(world.heard(11).at(-1)).toMatchObject({ changed: [{ name: 't12' }] })
    expect(world.heard(1)).toMatchObject([{ changed: [{ name: 't12' }] }])
    world.hub.remove(world.registry.require('t12'), world.sent)
    expect(world.heard(10)).toEqual([])
    expect(world.heard(11)).toMatchObject([{ removed: [testNode(12).identity.text] }])
  })

  it('comes in parts if it is much', () => {
    for (let i = 10; i < 160; i++) world.join(i, testNode(i), `n${i}`)
    world.heard(1)
    world.say(500, helloOf(ALICE))
    const lists = world.heard(500).slice(1)
    expect(lists.map((list) => list !== 'close' && list.type === 'nodes' && list.changed.length)).toEqual([
      40, 40, 40, 31,
    ])
    expect(lists.map((list) => list !== 'close' && list.type === 'nodes' && list.isComplete)).toEqual([
      false,
      false,
      false,
      true,
    ])
    expect(world.heard(1)).toMatchObject([{ type: 'refused', code: 'elsewhere', retryAfterS: 5 }, 'close'])
  })

  it('includes signals of others, never of strangers', () => {
    world.heard(2)
    world.say(1, { type: 'signal', to: BOB.identity.text, body: 'Ym9keQ==' })
    world.say(1, { type: 'signal', to: CAROL.identity.text, body: 'Ym9keQ==' })
    world.say(77, { type: 'signal', to: BOB.identity.text, body: 'Ym9keQ==' })
    expect(world.heard(2)).toEqual([{ type: 'signal', from: ALICE.identity.text, body: 'Ym9keQ==' }])
    expect(world.heard(77)).toEqual(['close'])
    world.say(1, helloOf(ALICE))
    expect(world.heard(1).at(-1)).toBe('close')
  })

  it('is an answer to each ping, and a new ticket from time to time', () => {
    world.heard(1)
    world.say(1, { type: 'ping' })
    world.hub.renewTickets(world.sent)
    expect(world.heard(1)).toMatchObject([{ type: 'pong' }, { type: 'ticket' }])
  })

  it('is a new tunnel key, if its identity signed it', () => {
    world.heard(1)
    const { number, notBefore, notAfter } = BOB.tunnelKey
    const terms = { number: number + 1, notBefore, notAfter }
    const key = tryParseKeyBase64<PublicKey>(previousKeyOf(BOB).key)
    if (key === undefined) throw new Error('no key')
    const tunnelKey = signTunnelKey(BOB.identity, key, terms)
    world.say(2, { type: 'update', tunnelKey: { ...tunnelKey, notAfter: tunnelKey.notAfter + 1 } })
    expect(world.hub.counters.malformed).toBe(1)
    world.say(2, { type: 'update', tunnelKey })
    expect(world.heard(1).at(-1)).toMatchObject({ changed: [{ name: 'bob', tunnelKey }] })
  })

  it('is a previous key beside it, as long as the node names one, for those who come later too', () => {
    world.heard(1)
    const { tunnelKey } = BOB
    const previousTunnelKey = previousKeyOf(BOB)
    const forged = { ...previousTunnelKey, notAfter: previousTunnelKey.notAfter + 1 }
    world.say(2, { type: 'update', tunnelKey, previousTunnelKey: forged })
    expect(world.hub.counters.malformed).toBe(1)
    world.say(2, { type: 'update', tunnelKey, previousTunnelKey })
    world.join(3, CAROL, 'carol')
    for (const session of [1, 3]) {
      const nodes = world
        .heard(session)
        .flatMap((heard) => (heard !== 'close' && heard.type === 'nodes' ? heard.changed : []))
      expect(nodes.filter(({ name }) => name === 'bob').at(-1)).toMatchObject({
        tunnelKey,
        previousTunnelKey,
      })
    }
    world.say(2, { type: 'update', relayRtts: { [RELAY.key]: 20 } })
    expect(world.heard(1).at(-1)).toMatchObject({ changed: [{ previousTunnelKey }] })
    const stored = (): unknown => world.store.nodes().find(({ name }) => name === 'bob')?.previousTunnelKey
    expect(stored()).toEqual(previousTunnelKey)
    world.say(4, helloOf(BOB))
    expect(JSON.stringify(world.heard(1).at(-1))).not.toContain('previousTunnelKey')
    expect(stored()).toBeUndefined()
  })
})

describe('a tunnel key of another node', () => {
  const span = { number: 11, notBefore: WALL_MS / 1000 - 60, notAfter: WALL_MS / 1000 + 60 }
  const previous = previousKeyOf(BOB)

  /** Carol's signature of it. */
  function claim(text: string): ReturnType<typeof signTunnelKey> {
    const key = tryParseKeyBase64<PublicKey>(text)
    if (key === undefined) throw new Error('no key')
    return signTunnelKey(CAROL.identity, key, span)
  }

  function keysOfCarol(): (string | undefined)[] {
    const { tunnelKey, previousTunnelKey } = world.registry.require('carol')
    return [tunnelKey.key, previousTunnelKey?.key]
  }

  beforeEach(() => {
    world.join(2, BOB, 'bob')
    world.say(2, { type: 'update', tunnelKey: BOB.tunnelKey, previousTunnelKey: previous })
  })

  it.each([
    ['current', BOB.tunnelKey.key],
    ['previous', previous.key],
  ])('is refused to a node that signs it, the %s one', (_which, key) => {
    world.join(3, CAROL, 'carol')
    const { tunnelKey } = CAROL
    world.say(3, { type: 'update', tunnelKey: claim(key) })
    world.say(3, { type: 'update', tunnelKey, previousTunnelKey: claim(key) })
    expect(world.hub.counters.malformed).toBe(2)
    expect(keysOfCarol()).toEqual([tunnelKey.key, undefined])
  })

  it.each([
    ['current', BOB.tunnelKey.key],
    ['previous', previous.key],
  ])('is refused to a node that joins with it, the %s one', (_which, key) => {
    world.say(3, helloOf(CAROL, { secret: world.token(), name: 'carol', tunnelKey: claim(key) }))
    expect(world.heard(3)).toMatchObject([{ type: 'refused' }, 'close'])
    expect(world.registry.nodeCount).toBe(1)
  })

  it('is free again when that node has another, or is gone', () => {
    world.join(3, CAROL, 'carol')
    world.say(2, { type: 'update', tunnelKey: BOB.tunnelKey })
    world.say(3, { type: 'update', tunnelKey: claim(previous.key) })
    expect(keysOfCarol()).toEqual([previous.key, undefined])
    world.hub.remove(world.registry.require('bob'), world.sent)
    world.say(3, { type: 'update', tunnelKey: claim(BOB.tunnelKey.key) })
    expect(keysOfCarol()).toEqual([BOB.tunnelKey.key, undefined])
  })
})

it('a previous key that has expired does not keep its node out, and is not kept', () => {
  world.join(2, BOB, 'bob')
  const expired = previousKeyOf(BOB, 0)
  world.nowMs += 30 * 3_600_000
  world.say(4, helloOf(BOB, { previousTunnelKey: expired }))
  expect(world.heard(4)[0]).toMatchObject({ type: 'welcome', name: 'bob' })
  expect(world.registry.require('bob').previousTunnelKey).toBeUndefined()
})

describe('administration', () => {
  beforeEach(() => {
    world.join(1, ALICE, 'alice')
    world.join(2, BOB, 'bob')
    world.heard(1)
    world.heard(2)
  })

  it('removes a node at once, everywhere', () => {
    world.hub.remove(world.registry.require('bob'), world.sent)
    expect(world.heard(2)).toMatchObject([{ type: 'refused', code: 'removed' }, 'close'])
    expect(world.heard(1)).toMatchObject([{ type: 'nodes', removed: [BOB.identity.text] }])
    world.hub.tellRelays(world.sent)
    expect(world.sent[0]).toMatchObject({ kind: 'directory', message: { removed: [BOB.identity.text] } })
    world.sent.length = 0
    world.nowMs += 60_000
    world.say(3, helloOf(BOB))
    expect(world.heard(3)[0]).toMatchObject({
      code: 'removed',
      message: expect.stringContaining('was removed'),
      removedAtS: WALL_MS / 1000,
    })
    world.say(4, helloOf(testNode(99)))
    expect(world.heard(4)[0]).toMatchObject({ code: 'unknown' })
    expect(() => world.registry.require('bob')).toThrow('there is no node bob')
  })

  it('lets a node leave by itself', () => {
    world.say(2, { type: 'leave' })
    expect(world.heard(2).at(-1)).toBe('close')
    expect(world.store.audit(1)[0]).toMatchObject({ event: 'node.left', subject: 'bob' })
  })

  it('renames, and tells all', () => {
    world.hub.rename(world.registry.require('bob'), 'robert', world.sent)
    expect(world.heard(1)).toMatchObject([{ changed: [{ name: 'robert' }] }])
    expect(world.heard(2)).toMatchObject([{ type: 'welcome', name: 'robert' }])
    expect(() => world.hub.rename(world.registry.require('robert'), 'alice', world.sent)).toThrow('is in use')
    expect(() => world.hub.rename(world.registry.require('robert'), 'No Name', world.sent)).toThrow(
      'cannot be a name',
    )
  })

  it('forgets ephemeral nodes that have been away for five minutes', () => {
    world.say(5, helloOf(CAROL, { secret: world.token({ isEphemeral: true }), name: 'carol' }))
    world.nowMs += 10 * 60_000
    world.hub.handleTimeout(world.sent)
    expect(world.registry.nodeCount).toBe(3)
    world.hub.handleClosed(5, world.sent)
    world.nowMs += 5 * 60_000 + 1
    world.hub.handleTimeout(world.sent)
    expect([...world.registry.nodes].map(({ name }) => name)).toEqual(['alice', 'bob'])
  })

  it('survives a restart with everything it had', () => {
    const options = {
      store: world.store,
      crypto: nobleCrypto,
      random: seededRandom(9),
      wallNowMs: () => WALL_MS,
    }
    const later = new Registry(options)
    expect([...later.nodes].map(({ name }) => name)).toEqual(['alice', 'bob'])
    expect(() =>
      later.tokens.create({ nodeName: 'Ä', tags: [], uses: 1, lifetimeMs: 1, isEphemeral: false }),
    ).toThrow('cannot be a name')
  })

  it('refuses names of networks that DNS would', () => {
    const options = {
      store: new MemoryStore(),
      crypto: nobleCrypto,
      random: seededRandom(9),
      wallNowMs: () => WALL_MS,
    }
    const request = { needsApproval: false, needsConsent: false, range: networkPrefix4(0) }
    expect(() => createNetwork(options, { ...request, name: 'a.b' })).toThrow(
      'cannot be the name of a network',
    )
  })
})

it('remembers of all that are connected when it ends that they were there until then', () => {
  world.join(1, ALICE, 'alice')
  world.join(2, BOB, 'bob')
  world.hub.handleClosed(2, world.sent)
  world.registry.flush()
  world.nowMs += 5000
  world.hub.handleStop()
  expect(world.registry.unsavedCount).toBe(1)
  world.registry.flush()
  const seen = new Map(world.store.nodes().map(({ name, lastSeenMs }) => [name, lastSeenMs]))
  expect((seen.get('alice') ?? 0) - (seen.get('bob') ?? 0)).toBe(5000)
  world.hub.handleClosed(1, world.sent)
  expect(world.registry.unsavedCount).toBe(0)
})
