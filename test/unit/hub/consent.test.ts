import { beforeEach, describe, expect, it } from 'vitest'
import { type HubMessage, MAX_ASKING, MAX_CONSENTS } from '../../../src/control/messages.js'
import type { SessionId } from '../../../src/hub/effects.js'
import { Registry } from '../../../src/hub/registry.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { helloOf, type TestNode, testNode, WALL_MS } from '../../support/control.js'
import { HubWorld } from '../../support/hub-world.js'
import { seededRandom } from '../../support/seeded-random.js'

const ALICE = testNode(1)
const BOB = testNode(2)
const CAROL = testNode(3)
const [A, B, C] = [ALICE, BOB, CAROL].map(({ identity }) => identity.text) as [string, string, string]

let world: HubWorld

beforeEach(() => {
  world = new HubWorld({ needsConsent: true })
  world.join(1, ALICE, 'alice')
  world.join(2, BOB, 'bob')
})

function consent(session: SessionId, identity: string, isGiven = true): void {
  world.say(session, { type: 'consent', identity, isGiven })
}

/** All that was said to all sessions since it was asked last. */
function quiet(...sessions: readonly SessionId[]): void {
  for (const session of sessions) world.heard(session)
}

function joinTagged(session: SessionId, node: TestNode, tags: string[]): void {
  world.say(session, helloOf(node, { secret: world.token({ tags }), name: `t${session}` }))
}

/** Keys, addresses and relays of a node: what nobody may hear without the consent of both. */
function secretsOf(node: TestNode): string[] {
  const record = world.registry.find(node.identity.text)
  if (record === undefined) throw new Error('no such node')
  return [node.tunnelKey.key, record.v4, world.hub.addressOf(record.identity)]
}

describe('in a network that asks for consent, a node hears', () => {
  it('that it does, and of others their names and identities alone', () => {
    const [welcome, nodes, asking] = world.heard(2)
    expect(welcome).toMatchObject({ type: 'welcome', needsConsent: true })
    expect(nodes).toEqual({ type: 'nodes', changed: [], removed: [], isComplete: true })
    const alice = { identity: A, name: 'alice', direction: 'none' }
    expect(asking).toEqual({ type: 'asking', changed: [alice], removed: [], isFirst: true })
    const bob = { identity: B, name: 'bob', direction: 'none' }
    expect(world.heard(1).at(-1)).toEqual({ type: 'asking', changed: [bob], removed: [] })
  })

  it('nothing of keys, addresses, relays and signals until both have said yes', () => {
    const said: (HubMessage | 'close')[] = [...world.heard(1)]
    const signal = { type: 'signal', to: A, body: 'Ym9keQ==' } as const
    consent(1, B)
    world.say(2, signal)
    world.say(2, { type: 'update', relayRtts: { [C]: 7 } })
    world.say(3, helloOf(BOB))
    world.hub.rename(world.registry.require('bob'), 'robert', world.sent)
    world.hub.handleClosed(3, world.sent)
    said.push(...world.heard(1))
    const text = JSON.stringify(said)
    for (const secret of [...secretsOf(BOB), 'isOnline', 'body', C]) expect(text).not.toContain(secret)
    expect(text).toContain('robert')
    world.say(4, helloOf(BOB))
    consent(4, A)
    world.say(4, signal)
    const after = JSON.stringify(world.heard(1))
    for (const secret of [...secretsOf(BOB), 'body']) expect(after).toContain(secret)
  })

  it('who asks, whom it asked, and each other when both did', () => {
    quiet(1, 2)
    consent(1, B)
    expect(world.heard(1)).toMatchObject([{ type: 'asking', changed: [{ name: 'bob', direction: 'ours' }] }])
    expect(world.heard(2)).toMatchObject([
      { type: 'asking', changed: [{ name: 'alice', direction: 'theirs' }] },
    ])
    consent(2, A)
    expect(world.heard(1)).toMatchObject([
      { type: 'asking', changed: [], removed: [B] },
      { type: 'nodes', changed: [{ name: 'bob', isOnline: true }] },
    ])
    expect(world.heard(2)).toMatchObject([
      { type: 'asking', changed: [], removed: [A] },
      { type: 'nodes', changed: [{ name: 'alice', isOnline: true }] },
    ])
    world.say(3, helloOf(BOB))
    expect(world.heard(3).slice(1)).toMatchObject([
      { type: 'nodes', changed: [{ name: 'alice' }], isComplete: true },
      { type: 'asking', changed: [], isFirst: true },
    ])
  })

  it('at once that the other took its yes back', () => {
    consent(1, B)
    consent(2, A)
    quiet(1, 2)
    consent(2, A, false)
    expect(world.heard(1)).toMatchObject([
      { type: 'nodes', changed: [], removed: [B] },
      { type: 'asking', changed: [{ name: 'bob', direction: 'ours' }] },
    ])
    expect(world.heard(2)).toMatchObject([
      { type: 'nodes', changed: [], removed: [A] },
      { type: 'asking', changed: [{ name: 'alice', direction: 'theirs' }] },
    ])
    consent(1, B, false)
    expect(world.heard(1)).toMatchObject([{ changed: [{ name: 'bob', direction: 'none' }] }])
    expect(world.heard(2)).toMatchObject([{ changed: [{ name: 'alice', direction: 'none' }] }])
  })

  it('nothing when a yes is said again, to itself, to nobody, or where the policy is against it', () => {
    joinTagged(10, testNode(10), ['red'])
    joinTagged(11, testNode(11), ['blue'])
    consent(1, B)
    quiet(1, 2, 10, 11)
    const records = world.store.audit(100).length
    consent(1, B)
    consent(1, A)
    consent(1, C)
    consent(10, testNode(11).identity.text)
    expect([1, 2, 10, 11].flatMap((session) => world.heard(session))).toEqual([])
    expect(world.store.audit(100)).toHaveLength(records)
    expect(world.store.consents()).toEqual([{ giver: A, receiver: B }])
  })

  it('of those alone whom a change concerns', () => {
    world.join(3, CAROL, 'carol')
    quiet(1, 2, 3)
    consent(1, B)
    consent(2, A)
    world.say(2, { type: 'update', relayRtts: { [C]: 7 } })
    expect(world.heard(3)).toEqual([])
    expect(world.heard(1).at(-1)).toMatchObject({ type: 'nodes', changed: [{ name: 'bob' }] })
  })

  it('that somebody is gone, whether it could reach it or only ask', () => {
    world.join(3, CAROL, 'carol')
    consent(1, B)
    consent(2, A)
    quiet(1, 3)
    world.hub.remove(world.registry.require('bob'), world.sent)
    expect(world.heard(1)).toMatchObject([{ type: 'nodes', removed: [B] }])
    expect(world.heard(3)).toMatchObject([{ type: 'asking', removed: [B] }])
    expect(world.store.consents()).toEqual([])
    expect(world.registry.consents.has(A, B)).toBe(false)
  })

  it('of nobody who waits for approval', () => {
    world = new HubWorld({ needsApproval: true, needsConsent: true })
    world.join(1, ALICE, 'alice')
    world.hub.approve(world.registry.require('alice'), world.sent)
    world.say(2, helloOf(ALICE))
    quiet(2)
    world.join(3, BOB, 'bob')
    world.hub.rename(world.registry.require('bob'), 'robert', world.sent)
    consent(2, B)
    expect(world.heard(2)).toEqual([])
    world.hub.approve(world.registry.require('robert'), world.sent)
    expect(world.heard(2)).toMatchObject([{ type: 'asking', changed: [{ name: 'robert' }] }])
  })

  it('of so many at most, and of those who ask first', () => {
    for (let i = 10; i < MAX_ASKING + 20; i++) world.join(i, testNode(i), `n${i}`)
    consent(MAX_ASKING + 19, A)
    world.say(5000, helloOf(ALICE))
    const parts = world
      .heard(5000)
      .flatMap((heard) => (heard !== 'close' && heard.type === 'asking' ? heard : []))
    expect(parts.map(({ isFirst }) => isFirst)).toEqual([true, false, false, false, false])
    expect(parts.flatMap(({ changed }) => changed)).toHaveLength(MAX_ASKING)
    expect(parts[0]?.changed[0]).toMatchObject({ name: `n${MAX_ASKING + 19}`, direction: 'theirs' })
  })
})

describe('consents', () => {
  it('are all on record', () => {
    consent(1, B)
    consent(1, B, false)
    expect(world.store.audit(2)).toMatchObject([
      { event: 'consent.revoked', subject: 'alice', detail: `to bob ${B}` },
      { event: 'consent.given', subject: 'alice', detail: `to bob ${B}` },
    ])
  })

  it('survive a restart of the hub', () => {
    consent(1, B)
    consent(2, A)
    consent(2, A, false)
    const later = new Registry({
      store: world.store,
      crypto: nobleCrypto,
      random: seededRandom(9),
      wallNowMs: () => WALL_MS,
    })
    expect([later.consents.has(A, B), later.consents.has(B, A)]).toEqual([true, false])
    expect(later.network.needsConsent).toBe(true)
  })

  it('are as many as one node may give, and no more', () => {
    const alice = world.registry.require('alice')
    for (let i = 0; i < MAX_CONSENTS; i++) {
      const receiver = { ...alice, name: `n${i}`, identity: `n${i}` }
      expect(world.registry.consents.set(alice, receiver, true)).toBe(true)
    }
    expect(world.registry.consents.set(alice, world.registry.require('bob'), true)).toBe(false)
    expect(world.store.consents()).toHaveLength(MAX_CONSENTS)
  })

  it('mean nothing where the network does not ask for them', () => {
    world = new HubWorld()
    world.join(1, ALICE, 'alice')
    world.join(2, BOB, 'bob')
    expect(world.heard(2)).toMatchObject([
      { type: 'welcome' },
      { type: 'nodes', changed: [{ name: 'alice' }] },
    ])
    world.say(3, helloOf(ALICE))
    expect(JSON.stringify(world.heard(3)[0])).not.toContain('needsConsent')
    quiet(2)
    consent(2, A)
    consent(2, A, false)
    expect([...world.heard(2), ...world.heard(3)]).toEqual([])
    expect(world.store.consents()).toEqual([])
  })
})
