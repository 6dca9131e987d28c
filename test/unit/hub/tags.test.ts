import { beforeEach, describe, expect, it } from 'vitest'
import { helloOf, type TestNode, testNode } from '../../support/control.js'
import { HubWorld } from '../../support/hub-world.js'

const [ALICE, BOB, CAROL] = [testNode(1), testNode(2), testNode(3)]
const [A, B] = [ALICE.identity.text, BOB.identity.text]

let world: HubWorld

function join(session: number, node: TestNode, name: string, tags: readonly string[]): void {
  world.say(session, helloOf(node, { secret: world.token({ tags }), name }))
}

function retag(name: string, tags: readonly string[]): void {
  world.hub.setTags(world.registry.require(name), tags, world.sent)
}

function forgetAll(): void {
  for (const session of [1, 2, 3]) world.heard(session)
}

describe('tags that are changed', () => {
  beforeEach(() => {
    world = new HubWorld()
    join(1, ALICE, 'alice', ['web'])
    join(2, BOB, 'bob', ['web'])
    join(3, CAROL, 'carol', ['db'])
    forgetAll()
  })

  it('part those at once who may not know each other any more, and bring others together', () => {
    retag('bob', ['db'])
    expect(world.heard(1)).toEqual([{ type: 'nodes', changed: [], removed: [B] }])
    expect(world.heard(3)).toMatchObject([{ type: 'nodes', changed: [{ name: 'bob' }] }])
    expect(world.heard(2)).toMatchObject([
      { type: 'nodes', changed: [], removed: [A] },
      { type: 'nodes', changed: [{ name: 'carol' }] },
    ])
    world.say(1, { type: 'signal', to: B, body: 'x' })
    expect(world.heard(2)).toEqual([])
  })

  it('are on disk and in the audit record', () => {
    retag('bob', ['db', 'web'])
    expect(world.store.nodes().find(({ name }) => name === 'bob')?.tags).toEqual(['db', 'web'])
    expect(world.registry.audit(1)).toMatchObject([
      { event: 'node.tagged', subject: 'bob', detail: 'web -> db,web' },
    ])
  })

  it('tell nobody what does not concern it', () => {
    retag('bob', ['web', 'new'])
    expect([1, 2, 3].map((session) => world.heard(session))).toEqual([[], [], []])
  })

  it('are refused if they cannot be tags, and then nothing changes', () => {
    expect(() => retag('bob', ['A b'])).toThrow('cannot be a name or a tag')
    expect(() =>
      retag(
        'bob',
        Array.from({ length: 17 }, (_, i) => `t${i}`),
      ),
    ).toThrow('more than 16')
    expect(world.registry.require('bob').tags).toEqual(['web'])
  })

  it('take a question for consent away', () => {
    world = new HubWorld({ needsConsent: true })
    join(1, ALICE, 'alice', ['web'])
    join(2, BOB, 'bob', ['web'])
    forgetAll()
    retag('bob', ['db'])
    expect(world.heard(1)).toEqual([{ type: 'asking', changed: [], removed: [B] }])
    expect(world.heard(2)).toEqual([{ type: 'asking', changed: [], removed: [A] }])
    retag('bob', [])
    expect(world.heard(1)).toMatchObject([{ type: 'asking', changed: [{ name: 'bob' }] }])
  })
})
