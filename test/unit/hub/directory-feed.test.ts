import { beforeEach, describe, expect, it } from 'vitest'
import type { DirectoryMessage } from '../../../src/control/directory.js'
import { MAX_MESSAGE_BYTES } from '../../../src/control/messages.js'
import { Registry } from '../../../src/hub/registry.js'
import { Revocations } from '../../../src/hub/revocations.js'
import { HubDirectory } from '../../../src/relay/hub-directory.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { helloOf, testNode, WALL_MS } from '../../support/control.js'
import { HubWorld, IDENTITY } from '../../support/hub-world.js'
import { seededRandom } from '../../support/seeded-random.js'

const TAGS: readonly (readonly string[])[] = [[], ['lab'], ['office'], ['lab', 'office']]

let world: HubWorld

/** What the relay of the hub hears since it was asked last. */
function told(): DirectoryMessage[] {
  world.hub.tellRelays(world.sent)
  const messages = world.sent.flatMap((effect) => (effect.kind === 'directory' ? [effect.message] : []))
  world.sent.length = 0
  return messages
}

function relay(): HubDirectory {
  const directory = new HubDirectory({ ticketKey: IDENTITY.publicKey, wallNowMs: () => world.nowMs })
  for (const message of world.hub.wholeDirectory()) directory.apply(message)
  return directory
}

beforeEach(() => {
  world = new HubWorld()
})

describe('what relays hear', () => {
  it('is nothing where nothing changed for them', () => {
    world.join(1, testNode(1), 'alice')
    told()
    world.say(1, { type: 'ping' })
    world.hub.rename(world.registry.require('alice'), 'anna', world.sent)
    expect(told()).toEqual([])
  })

  it('leaves out who waits for approval, until it is given', () => {
    world = new HubWorld({ needsApproval: true })
    world.join(1, testNode(1), 'alice')
    expect(told()).toMatchObject([{ changed: [], removed: [testNode(1).identity.text] }])
    expect(relay().nodeCount).toBe(0)
    world.hub.approve(world.registry.require('alice'), world.sent)
    expect(told()).toMatchObject([{ changed: [{ identity: testNode(1).identity.text, tags: [] }] }])
  })

  it('comes in parts that fit into a message', () => {
    for (let i = 1; i <= 400; i++)
      world.say(i, helloOf(testNode(i), { secret: world.token({ tags: ['a', 'b'] }) }))
    const parts = world.hub.wholeDirectory()
    expect(parts.map(({ isFirst, isComplete }) => [isFirst, isComplete])).toEqual([
      [true, undefined],
      [undefined, undefined],
      [undefined, true],
    ])
    for (const part of parts) expect(JSON.stringify(part).length).toBeLessThan(MAX_MESSAGE_BYTES)
    expect(relay().nodeCount).toBe(400)
  })

  it('makes a relay decide as the hub does, whatever happens', () => {
    for (const needsConsent of [false, true]) {
      world = new HubWorld({ needsConsent })
      const random = seededRandom(needsConsent ? 7 : 8)
      const pick = (count: number): number => (random(1)[0] as number) % count
      const directory = relay()
      for (let step = 0; step < 300; step++) {
        const node = testNode(pick(8))
        const { text } = node.identity
        const known = world.registry.find(text)
        const action = pick(4)
        if (known === undefined) {
          world.say(1000 + step, helloOf(node, { secret: world.token({ tags: TAGS[pick(TAGS.length)] }) }))
        } else if (action === 0) world.hub.remove(known, world.sent)
        else {
          const other = testNode(pick(8)).identity.text
          world.say(5000 + step, helloOf(node))
          world.say(5000 + step, { type: 'consent', identity: other, isGiven: action !== 1 })
        }
        world.nowMs += pick(1000)
        for (const message of told()) directory.apply(message)
        if (step % 50 === 49) expect(told()).toEqual([])
        expect(
          directory
            .toStored()
            ?.pairs.map((pair) => pair.join())
            .sort(),
        ).toEqual(
          relay()
            .toStored()
            ?.pairs.map((pair) => pair.join())
            .sort(),
        )
        for (let one = 0; one < 8; one++) {
          for (let two = 0; two < 8; two++) {
            const [a, b] = [testNode(one).identity.text, testNode(two).identity.text]
            const [nodeA, nodeB] = [world.registry.find(a), world.registry.find(b)]
            const isFree =
              nodeA !== undefined && nodeB !== undefined && world.registry.knowledgeOf(nodeA, nodeB) === 'all'
            if (one !== two) expect(directory.mayTalk(a, b)).toBe(isFree)
          }
        }
      }
    }
  })
})

describe('the epoch', () => {
  function epochAfter(work: () => void): number {
    work()
    return world.registry.revocations.epoch
  }

  it('rises with every change that takes something away, also when the clock stands still', () => {
    const start = world.registry.revocations.epoch
    const joined = epochAfter(() => world.join(1, testNode(1), 'alice'))
    const removed = epochAfter(() => world.hub.remove(world.registry.require('alice'), world.sent))
    expect(joined).toBeGreaterThan(start)
    expect(removed).toBeGreaterThan(joined)
    expect(told().at(-1)?.epoch).toBe(removed)
  })

  it('is never taken twice: not after a restart, not from an older copy of the store', () => {
    world.join(1, testNode(1), 'alice')
    const { epoch } = world.registry.revocations
    expect(new Revocations(world.store, () => WALL_MS).epoch).toBeGreaterThan(epoch)
    world.store.setEpoch(0)
    expect(new Revocations(world.store, () => WALL_MS + 5000).epoch).toBeGreaterThan(epoch)
  })

  it('follows what a relay has heard, within bounds', () => {
    const revocations = new Revocations(world.store, () => WALL_MS)
    revocations.raise(WALL_MS + 1e6)
    expect(revocations.epoch).toBe(WALL_MS + 1e6 + 1)
    revocations.raise(Number.MAX_SAFE_INTEGER)
    expect(revocations.epoch).toBe(WALL_MS + 1e6 + 1)
  })

  it('and removals outlast a restart; whoever joins anew is forgiven', () => {
    world.join(1, testNode(1), 'alice')
    world.hub.remove(world.registry.require('alice'), world.sent)
    const reopened = (): Registry =>
      new Registry({
        store: world.store,
        crypto: nobleCrypto,
        random: seededRandom(1),
        wallNowMs: () => world.nowMs,
      })
    expect(reopened().revocations.find(testNode(1).identity.text)).toMatchObject({
      name: 'alice',
      atMs: WALL_MS,
    })
    world.join(2, testNode(1), 'alice')
    expect(reopened().revocations.find(testNode(1).identity.text)).toBeUndefined()
    expect(world.registry.revocations.find(testNode(1).identity.text)).toBeUndefined()
  })
})
