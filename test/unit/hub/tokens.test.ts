import { beforeEach, describe, expect, it } from 'vitest'
import { tokenId } from '../../../src/hub/tokens.js'
import { helloOf, testNode } from '../../support/control.js'
import { HubWorld } from '../../support/hub-world.js'

let world: HubWorld

beforeEach(() => {
  world = new HubWorld()
})

describe('tokens of a hub', () => {
  it('are listed without their secrets, the next to expire first', () => {
    const secret = world.token({ nodeName: 'later', lifetimeMs: 120_000 })
    world.token({ nodeName: 'sooner', uses: 3, tags: ['web'] })
    const listed = world.registry.tokens.list()
    expect(listed).toMatchObject([{ nodeName: 'sooner', usesLeft: 3, tags: ['web'] }, { nodeName: 'later' }])
    expect(JSON.stringify(listed)).not.toContain(secret)
    world.nowMs += 60_000
    expect(world.registry.tokens.list()).toMatchObject([{ nodeName: 'later' }])
  })

  it('are taken back by an id that is no part of the secret', () => {
    const secret = world.token({ uses: 2 })
    world.say(1, helloOf(testNode(1), { secret, name: 'alice' }))
    const [token] = world.registry.tokens.list()
    const id = token === undefined ? '' : tokenId(token)
    expect(id).toMatch(/^[0-9a-f]{10}$/)
    expect(Buffer.from(secret, 'base64').toString('hex')).not.toContain(id)
    world.registry.tokens.revoke(id)
    world.say(2, helloOf(testNode(2), { secret, name: 'bob' }))
    expect(world.heard(2)).toMatchObject([{ code: 'token' }, 'close'])
    expect(world.registry.audit(1)).toMatchObject([{ event: 'token.revoked', detail: `${id}, uses left 1` }])
    expect(() => world.registry.tokens.revoke(id)).toThrow(`there is no token ${id}`)
    expect(world.registry.require('alice').tokenId).toBe(id)
  })
})
