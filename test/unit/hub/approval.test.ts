import { beforeEach, describe, expect, it } from 'vitest'
import { helloOf, testNode } from '../../support/control.js'
import { HubWorld } from '../../support/hub-world.js'

const [ALICE, BOB] = [testNode(1), testNode(2)]
const DAY_MS = 86_400_000

let world: HubWorld

beforeEach(() => {
  world = new HubWorld({ needsApproval: true })
})

describe('a node that waits for approval', () => {
  it('has a place, hears what to do, and goes on in the same session when it is approved', () => {
    world.join(1, ALICE, 'alice')
    const [pending, ...more] = world.heard(1)
    expect(pending).toMatchObject({
      type: 'pending',
      name: 'alice',
      hint: 'on the hub, type: overlay hub approve alice',
    })
    expect(more).toEqual([])
    const { v4 } = world.registry.require('alice')
    world.hub.approve(world.registry.require('alice'), world.sent)
    expect(world.heard(1)).toMatchObject([{ type: 'welcome', name: 'alice', v4 }, { type: 'nodes' }])
    world.say(1, { type: 'ping' })
    expect(world.heard(1)).toEqual([{ type: 'pong' }])
  })

  it('may ask again with the same token, which only strangers find used up', () => {
    const secret = world.token()
    world.say(1, helloOf(ALICE, { secret, name: 'alice' }))
    world.hub.handleClosed(1, world.sent)
    world.say(2, helloOf(ALICE, { secret, name: 'alice' }))
    expect(world.heard(2)).toMatchObject([{ type: 'pending', name: 'alice' }])
    world.say(3, helloOf(BOB, { secret, name: 'bob' }))
    expect(world.heard(3)).toMatchObject([{ code: 'token' }, 'close'])
    world.hub.handleClosed(2, world.sent)
    world.hub.approve(world.registry.require('alice'), world.sent)
    world.say(4, helloOf(ALICE, { secret, name: 'alice' }))
    expect(world.heard(4)[0]).toMatchObject({ type: 'welcome', name: 'alice' })
  })

  it('is nobody to the others, and hears nothing of them', () => {
    world.join(1, ALICE, 'alice')
    world.hub.approve(world.registry.require('alice'), world.sent)
    world.heard(1)
    world.join(2, BOB, 'bob')
    expect(world.heard(1)).toEqual([])
    expect(world.heard(2)).toHaveLength(1)
    world.say(2, { type: 'signal', to: ALICE.identity.text, body: 'x' })
    world.say(2, { type: 'update', relayRtts: {} })
    world.say(2, { type: 'consent', identity: ALICE.identity.text, isGiven: true })
    expect([world.heard(1), world.heard(2)]).toEqual([[], []])
    expect(world.hub.onlineCount).toBe(1)
  })

  it('keeps its session alive, and gives way to a later one of its own', () => {
    world.join(1, ALICE, 'alice')
    world.heard(1)
    world.say(1, { type: 'ping' })
    expect(world.heard(1)).toEqual([{ type: 'pong' }])
    world.say(2, helloOf(ALICE))
    expect(world.heard(1)).toEqual(['close'])
    world.hub.handleClosed(1, world.sent)
    world.hub.approve(world.registry.require('alice'), world.sent)
    expect(world.heard(2)).toMatchObject([{ type: 'pending' }, { type: 'welcome' }, { type: 'nodes' }])
  })

  it('is told that it was rejected, at once and later', () => {
    world.join(1, ALICE, 'alice')
    world.heard(1)
    world.hub.reject(world.registry.require('alice'), world.sent)
    expect(world.heard(1)).toMatchObject([{ type: 'refused', code: 'rejected' }, 'close'])
    world.say(2, helloOf(ALICE))
    expect(world.heard(2)).toMatchObject([{ type: 'refused', code: 'rejected' }, 'close'])
    expect(world.registry.nodeCount).toBe(0)
    world.join(3, ALICE, 'alice')
    expect(world.heard(3)).toMatchObject([{ type: 'pending' }])
  })

  it('can be rejected while it waits only', () => {
    world.join(1, ALICE, 'alice')
    const alice = world.hub.approve(world.registry.require('alice'), world.sent)
    expect(() => world.hub.reject(alice, world.sent)).toThrow('does not wait')
    expect(world.hub.approve(alice, world.sent)).toBe(alice)
  })

  it('hears of a change of the hub’s key like all others, now and when it comes', () => {
    world.join(1, ALICE, 'alice')
    world.hub.approve(world.registry.require('alice'), world.sent)
    world.join(2, BOB, 'bob')
    world.heard(1)
    world.heard(2)
    const change = { type: 'hubKey', key: ALICE.identity.text, untilS: 7 } as const
    world.change = change
    world.hub.keysChanged(world.sent)
    expect(world.heard(1)).toMatchObject([change, { type: 'ticket' }])
    expect(world.heard(2)).toEqual([change])
    world.hub.handleClosed(2, world.sent)
    world.say(3, helloOf(BOB))
    expect(world.heard(3)).toMatchObject([{ type: 'pending' }, change])
    world.say(4, helloOf(ALICE))
    expect(world.heard(4)).toMatchObject([{ type: 'welcome' }, change, { type: 'nodes' }])
  })

  it('may leave', () => {
    world.join(1, ALICE, 'alice')
    world.heard(1)
    world.say(1, { type: 'leave' })
    expect(world.heard(1)).toMatchObject([{ type: 'refused', code: 'removed' }, 'close'])
    expect(world.registry.nodeCount).toBe(0)
  })

  it('is forgotten after a week, also while it is there', () => {
    world.join(1, ALICE, 'alice')
    world.heard(1)
    world.nowMs += 7 * DAY_MS
    world.hub.handleTimeout(world.sent)
    expect(world.registry.nodeCount).toBe(1)
    world.nowMs += 1
    world.hub.handleTimeout(world.sent)
    expect(world.heard(1)).toMatchObject([{ type: 'refused', code: 'removed' }, 'close'])
    expect(world.registry.nodeCount).toBe(0)
  })

  it('does not fill the list: a token has a share of it', () => {
    const secret = world.token({ uses: 100 })
    for (let i = 1; i <= 33; i++) world.say(i, helloOf(testNode(i), { secret }))
    expect(world.heard(32)).toMatchObject([{ type: 'pending' }])
    expect(world.heard(33)).toMatchObject([{ type: 'refused', code: 'busy' }, 'close'])
    world.join(34, testNode(34), 'other')
    expect(world.heard(34)).toMatchObject([{ type: 'pending' }])
    world.hub.reject(world.registry.require('other'), world.sent)
    const [first] = world.registry.nodes
    if (first !== undefined) world.hub.approve(first, world.sent)
    world.say(35, helloOf(testNode(33), { secret }))
    expect(world.heard(35)).toMatchObject([{ type: 'pending' }])
  })
})
