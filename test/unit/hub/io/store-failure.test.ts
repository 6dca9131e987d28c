/** A hub whose disk is full, or locked, at each moment that there is. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { signTunnelKey } from '../../../../src/control/tunnel-key.js'
import { createSqliteStore } from '../../../../src/hub/io/sqlite-store.js'
import { Registry } from '../../../../src/hub/registry.js'
import type { Store } from '../../../../src/hub/store.js'
import { StoreError } from '../../../../src/hub/store-error.js'
import { tokenId } from '../../../../src/hub/tokens.js'
import { nobleCrypto } from '../../../../src/wireguard/crypto-noble.js'
import { keyFromBytes, type PublicKey } from '../../../../src/wireguard/keys.js'
import { helloOf, testNode, WALL_MS } from '../../../support/control.js'
import { Faults, withFaults } from '../../../support/failing-store.js'
import { HubWorld } from '../../../support/hub-world.js'
import { seededRandom } from '../../../support/seeded-random.js'

const directory = mkdtempSync(join(tmpdir(), 'overlay-failing-'))
let files = 0
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const [ALICE, BOB, CAROL, DAVE] = [testNode(1), testNode(2), testNode(3), testNode(4)]
/** Of `open`. */
const NODES = 3
const SECRET = { uses: 2, lifetimeMs: 3_600_000 }

interface Failing {
  readonly world: HubWorld
  readonly store: Store
  readonly faults: Faults
  /** For one who comes later. */
  readonly secret: string
}

/** Alice and Bob are in, and online; Bob has said yes to Alice. Dave waits for approval. */
async function open(): Promise<Failing> {
  files += 1
  const faults = new Faults()
  const store = withFaults(await createSqliteStore(join(directory, `${files}.db`)), faults)
  const world = new HubWorld({ needsConsent: true, needsApproval: true }, store)
  world.join(1, ALICE, 'alice')
  world.join(2, BOB, 'bob')
  world.join(7, DAVE, 'dave')
  for (const node of [ALICE, BOB]) world.hub.approve(nodeOf(world, node), world.sent)
  world.say(2, { type: 'consent', identity: ALICE.identity.text, isGiven: true })
  const secret = world.token(SECRET)
  world.sent.length = 0
  return { world, store, faults, secret }
}

/** All that decides who is in the network and who hears of whom. */
function stateOf(registry: Registry, store: Store) {
  const nodes = [...registry.nodes].map(({ lastSeenMs: _, ...node }) => node)
  const identities = [ALICE, BOB, CAROL].map(({ identity }) => identity.text)
  return {
    nodes: nodes.sort((a, b) => (a.identity < b.identity ? -1 : 1)),
    consents: identities.flatMap((one) => identities.map((other) => registry.consents.has(one, other))),
    tokens: store.tokens(),
  }
}

function reopened(store: Store): Registry {
  return new Registry({ store, crypto: nobleCrypto, random: seededRandom(9), wallNowMs: () => WALL_MS })
}

const nodeOf = ({ registry }: HubWorld, { identity }: typeof ALICE) => registry.require(identity.text)

type Change = (failing: Failing) => void

/** Every change there is; those by a node answer by a refusal, those by a person throw. */
const CHANGES: Readonly<Record<string, Change>> = {
  'a node joins': ({ world, secret }) => world.say(3, helloOf(CAROL, { secret, name: 'carol' })),
  'a node says yes': ({ world }) =>
    world.say(1, { type: 'consent', identity: BOB.identity.text, isGiven: true }),
  'a node takes a yes back': ({ world }) =>
    world.say(2, { type: 'consent', identity: ALICE.identity.text, isGiven: false }),
  'a node leaves': ({ world }) => world.say(1, { type: 'leave' }),
  'a node is removed': ({ world }) => world.hub.remove(nodeOf(world, BOB), world.sent),
  'a node is renamed': ({ world }) => world.hub.rename(nodeOf(world, BOB), 'robert', world.sent),
  'a node is approved': ({ world }) => world.hub.approve(nodeOf(world, DAVE), world.sent),
  'a node is rejected': ({ world }) => world.hub.reject(nodeOf(world, DAVE), world.sent),
  'tags of a node change': ({ world }) => world.hub.setTags(nodeOf(world, BOB), ['lab'], world.sent),
  'a token is made': ({ world }) => world.token({ lifetimeMs: 1000 }),
  'a token is taken back': ({ world, store }) => {
    for (const token of store.tokens()) world.registry.tokens.revoke(tokenId(token))
  },
}

describe('a store that fails at each call', () => {
  it.each(Object.entries(CHANGES))('changes nothing while %s, and then it works', async (_, change) => {
    for (let calls = 0; ; calls++) {
      const failing = await open()
      const { world, store, faults } = failing
      const before = stateOf(world.registry, store)
      faults.failAfter(calls)
      let thrown: unknown
      try {
        change(failing)
      } catch (error) {
        thrown = error
      }
      const hasFailed = faults.haveCome
      faults.heal()
      if (!hasFailed) {
        expect(thrown).toBeUndefined()
        expect(stateOf(reopened(store), store)).toEqual(stateOf(world.registry, store))
        expect(calls).toBeGreaterThan(2)
        store.close()
        break
      }
      const told = world.sent.splice(0)
      if (thrown === undefined) {
        // Whoever asked hears why, and nobody else hears anything.
        expect(told).toEqual([
          expect.objectContaining({
            message: expect.objectContaining({
              code: 'busy',
              message: expect.stringContaining('disk is full'),
            }),
          }),
          expect.objectContaining({ kind: 'close' }),
        ])
      } else {
        expect(thrown).toBeInstanceOf(StoreError)
        expect(told).toEqual([])
      }
      expect(stateOf(world.registry, store)).toEqual(before)
      expect(stateOf(reopened(store), store)).toEqual(before)
      store.close()
    }
  })
})

describe('a hub whose disk is full', () => {
  it('goes on from memory, and writes what it could not when there is room again', async () => {
    const { world, store, faults } = await open()
    const { registry, hub } = world
    faults.failAfter(0)
    const { number, notBefore, notAfter } = ALICE.tunnelKey
    const bytes = keyFromBytes<PublicKey>(nobleCrypto.hash(ALICE.identity.publicKey))
    const key = signTunnelKey(ALICE.identity, bytes, { number: number + 1, notBefore, notAfter })
    world.say(1, { type: 'update', tunnelKey: key })
    hub.handleClosed(2, world.sent)
    // Who is in the network comes and goes, and hears of others.
    world.say(4, helloOf(BOB))
    expect(world.heard(4)[0]).toMatchObject({ type: 'welcome', name: 'bob' })
    world.nowMs += 60_000
    hub.handleTimeout(world.sent)
    expect(registry.storeFailure).toMatchObject({ sinceMs: WALL_MS, error: { fault: 'full' } })
    expect([registry.unsavedCount, nodeOf(world, ALICE).tunnelKey.key]).toEqual([2, key.key])
    faults.heal()
    world.nowMs += 10_000
    hub.handleTimeout(world.sent)
    expect([registry.storeFailure, registry.unsavedCount]).toEqual([undefined, 0])
    expect(reopened(store).find(ALICE.identity.text)).toMatchObject({ tunnelKey: { key: key.key } })
    expect(store.audit(1)).toMatchObject([{ event: 'store.recovered', detail: 'the disk is full, for 70 s' }])
    store.close()
  })

  it('asks the store again after a while only, and says the reason meanwhile', async () => {
    const { world, store, faults } = await open()
    faults.failAfter(1)
    expect(() => world.token()).toThrow(StoreError)
    faults.heal()
    expect(() => world.hub.rename(nodeOf(world, BOB), 'robert', [])).toThrow('the disk is full')
    world.nowMs += 1000
    expect(world.hub.rename(nodeOf(world, BOB), 'robert', []).name).toBe('robert')
    store.close()
  })

  it('removes no node that was away, and does it later', async () => {
    const { world, store, faults } = await open()
    world.say(3, helloOf(CAROL, { secret: world.token({ isEphemeral: true }) }))
    world.hub.handleClosed(3, world.sent)
    world.nowMs += 6 * 60_000
    faults.failAfter(0)
    world.hub.handleTimeout(world.sent)
    expect(world.registry.nodeCount).toBe(NODES + 1)
    faults.heal()
    world.nowMs += 10_000
    world.hub.handleTimeout(world.sent)
    expect(world.registry.nodeCount).toBe(NODES)
    store.close()
  })
})

describe('when a node was seen last', () => {
  it('is written with that of many others, and not when it goes', async () => {
    const { world, store, faults } = await open()
    faults.transactions = 0
    world.nowMs += 5000
    for (const session of [1, 2]) world.hub.handleClosed(session, world.sent)
    expect(faults.transactions).toBe(0)
    world.hub.handleTimeout(world.sent)
    world.hub.handleTimeout(world.sent)
    expect(faults.transactions).toBe(1)
    expect(
      store
        .nodes()
        .map(({ lastSeenMs }) => lastSeenMs - WALL_MS)
        .sort(),
    ).toEqual([0, 5000, 5000])
    store.close()
  })

  it('does not let a hub that was ended remove ephemeral nodes before they can come back', async () => {
    const { world, store } = await open()
    world.say(3, helloOf(CAROL, { secret: world.token({ isEphemeral: true }) }))
    let nowMs = WALL_MS + 3_600_000
    const later = new Registry({
      store,
      crypto: nobleCrypto,
      random: seededRandom(9),
      wallNowMs: () => nowMs,
    })
    nowMs += 60_000
    expect(later.expired(() => false)).toEqual([])
    nowMs += 5 * 60_000
    expect(later.expired(() => false)).toMatchObject([{ identity: CAROL.identity.text }])
    store.close()
  })
})
