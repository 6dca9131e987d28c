import { beforeEach, describe, expect, it } from 'vitest'
import { signTunnelKey } from '../../../src/control/tunnel-key.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { keyFromBytes, type PublicKey } from '../../../src/wireguard/keys.js'
import { helloOf, previousKeyOf, testNode, WALL_MS } from '../../support/control.js'
import { countingBytes } from '../../support/hex.js'
import { HubWorld } from '../../support/hub-world.js'

let world: HubWorld
const ALICE = testNode(1)
const BOB = testNode(2)

beforeEach(() => {
  world = new HubWorld()
  world.join(1, ALICE, 'alice')
  world.join(2, BOB, 'bob')
  world.heard(1)
  world.heard(2)
})

function keyNumber(number: number): ReturnType<typeof signTunnelKey> {
  const nowS = WALL_MS / 1000
  const key = keyFromBytes<PublicKey>(nobleCrypto.hash(countingBytes(32, number)))
  return signTunnelKey(BOB.identity, key, {
    number: number + 1,
    notBefore: nowS - 60,
    notAfter: nowS + 86_400,
  })
}

/** Ends the session as its connection does. */
function close(session: number): void {
  world.hub.handleClosed(session, world.sent)
}

function events(): string[] {
  return world.store.audit(10_000).map(({ event }) => event)
}

describe('a node that says too much', () => {
  it('is not told to anybody where nothing changes', () => {
    const before = world.hub.deltas
    for (let i = 0; i < 2000; i++) {
      world.say(2, { type: 'update', tunnelKey: BOB.tunnelKey, relayRtts: {} })
    }
    expect(world.hub.deltas).toBe(before)
    expect(world.heard(2)).toEqual([])
  })

  it('may change its keys a few times, then it is told to wait, once in the record', () => {
    for (let i = 0; i < 1900; i++) {
      if (world.hub.isMember(2)) world.say(2, { type: 'update', tunnelKey: keyNumber(i % 200) })
      else break
      if (world.heard(2).includes('close')) close(2)
    }
    expect(world.hub.isMember(2)).toBe(false)
    expect(events().filter((event) => event === 'node.key_changed')).toHaveLength(10)
    expect(world.hub.troubleOf(BOB.identity.text)).toBe('it changes its keys too often')
    // Coming back buys nothing.
    for (let session = 10; session < 15; session++) {
      world.say(session, helloOf(BOB, { tunnelKey: keyNumber(220 + session) }))
      expect(world.heard(session)).toMatchObject([{ code: 'rateLimited', retryAfterS: 10 }, 'close'])
    }
    expect(events().filter((event) => event === 'node.troubled')).toHaveLength(1)
    expect(world.hub.troubleOf(BOB.identity.text)).toBe('it changes its keys too often, 6 times')
    world.nowMs += 10_000
    world.say(20, helloOf(BOB, { tunnelKey: keyNumber(250) }))
    expect(world.heard(20)[0]).toMatchObject({ type: 'welcome' })
  })

  it('is heard by others a few times at once, then seldom, and last as it is', () => {
    const relay = testNode(9).identity.text
    for (let rttMs = 1; rttMs <= 500; rttMs++) world.say(2, { type: 'update', relayRtts: { [relay]: rttMs } })
    expect(world.heard(1).length).toBeLessThan(7)
    world.nowMs += 10_000
    world.hub.handleTimeout(world.sent)
    expect(world.heard(1)).toMatchObject([{ type: 'nodes', changed: [{ relayRtts: { [relay]: 500 } }] }])
    expect(world.hub.isMember(2)).toBe(true)
  })

  it('may signal as much as a node needs that meets all its peers', () => {
    for (let i = 0; i < 1500; i++) world.say(2, { type: 'signal', to: ALICE.identity.text, body: 'Ym9keQ==' })
    expect(world.heard(1)).toHaveLength(1000)
    expect(world.hub.counters.droppedSignals).toBe(500)
    for (let i = 0; i < 200; i++) world.say(2, { type: 'ping' })
    expect(world.heard(2)).toHaveLength(100)
  })

  it('is let go when it says more than all of that, and its memory with it when it is removed', () => {
    world.hub.handleFlood(2, world.sent)
    expect(world.heard(2)).toMatchObject([{ code: 'rateLimited', retryAfterS: 30 }, 'close'])
    expect(world.hub.troubleOf(BOB.identity.text)).toBe('it says too much')
    world.hub.remove(world.registry.require('bob'), world.sent)
    expect(world.hub.troubleOf(BOB.identity.text)).toBeUndefined()
  })
})

describe('a node that comes back again and again', () => {
  it('is told to wait, and why is told to whoever runs the network', () => {
    close(2)
    const answers: unknown[] = []
    for (let session = 10; session < 60; session++) {
      world.say(session, helloOf(BOB))
      answers.push(world.heard(session)[0])
      close(session)
      world.nowMs += 100
    }
    const welcomes = answers.filter((answer) => (answer as { type: string }).type === 'welcome')
    expect(welcomes).toHaveLength(20)
    expect(answers.at(-1)).toMatchObject({
      code: 'rateLimited',
      message: expect.stringContaining('comes back'),
    })
    expect(world.hub.troubleOf(BOB.identity.text)).toMatch(/comes back again and again.*, 30 times$/)
    expect(events().filter((event) => event === 'node.troubled')).toHaveLength(1)
    // Others have heard of a few of the changes, and of how it ended.
    expect(world.heard(1).length).toBeLessThan(8)
    world.nowMs += 3600_001
    expect(world.hub.troubleOf(BOB.identity.text)).toBeUndefined()
  })
})

describe('two machines with one identity', () => {
  const hello = (run: string): ReturnType<typeof helloOf> => helloOf(BOB, { run })

  it('do not push each other out: the second to return waits ever longer', () => {
    world.say(10, hello('first'))
    world.heard(10)
    world.say(11, hello('second'))
    expect(world.heard(10)).toMatchObject([{ code: 'elsewhere', retryAfterS: 5 }, 'close'])
    close(10)
    const pauses: unknown[] = []
    for (let session = 12; session < 16; session++) {
      world.nowMs += 10_000
      world.say(11, { type: 'ping' })
      world.say(session, hello('first'))
      const [refusal] = world.heard(session)
      expect(refusal).toMatchObject({ code: 'elsewhere' })
      pauses.push(refusal !== 'close' && refusal?.type === 'refused' && refusal.retryAfterS)
      close(session)
    }
    expect(pauses).toEqual([30, 60, 120, 240])
    expect(world.hub.isMember(11)).toBe(true)
    expect(world.hub.troubleOf(BOB.identity.text)).toBe(
      'two machines use its identity, at 192.0.2.1 and 192.0.2.1, 4 times',
    )
    expect(world.store.audit(1)[0]).toMatchObject({ event: 'node.troubled', subject: 'bob' })
  })

  it('are not seen in one that dials anew, or starts anew', () => {
    world.say(10, hello('first'))
    world.say(11, hello('first'))
    expect(world.heard(10).at(-1)).toBe('close')
    expect(world.heard(10)).toEqual([])
    world.say(12, hello('second'))
    expect(world.heard(12)[0]).toMatchObject({ type: 'welcome' })
    expect(world.hub.troubleOf(BOB.identity.text)).toBeUndefined()
  })

  it('are let in one after the other where the present one is silent', () => {
    world.say(10, hello('first'))
    world.say(11, hello('second'))
    world.nowMs += 45_000
    world.say(12, hello('first'))
    expect(world.heard(12)[0]).toMatchObject({ type: 'welcome' })
  })
})

it('a hello with the previous key beside it costs no change where that is known', () => {
  const previousTunnelKey = previousKeyOf(BOB)
  world.say(10, helloOf(BOB, { previousTunnelKey }))
  const changes = (): number => events().filter((event) => event === 'node.key_changed').length
  expect(changes()).toBe(1)
  world.say(11, helloOf(BOB, { previousTunnelKey }))
  expect(changes()).toBe(1)
})
