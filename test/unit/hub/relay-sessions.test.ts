import { beforeEach, describe, expect, it } from 'vitest'
import { formatBase64 } from '../../../src/base/bytes.js'
import { type RelayHello, type RelayMessage, relayMessage } from '../../../src/control/directory.js'
import { type Identity, identityFromSeed } from '../../../src/control/identity.js'
import { encodeMessage, PROOF_LABEL, tryDecodeMessage } from '../../../src/control/messages.js'
import type { SessionId } from '../../../src/hub/effects.js'
import { HubDirectory } from '../../../src/relay/hub-directory.js'
import { HANDSHAKE_HASH, testNode } from '../../support/control.js'
import { countingBytes } from '../../support/hex.js'
import { HubWorld, IDENTITY as RELAY } from '../../support/hub-world.js'

const [ALICE, BOB] = [testNode(1), testNode(2)]

let world: HubWorld

function hello(identity: Identity = RELAY, more: Partial<RelayHello> = {}): RelayHello {
  const proof = formatBase64(identity.sign(PROOF_LABEL, HANDSHAKE_HASH))
  return { type: 'relay', version: 1, identity: identity.text, proof, epoch: 0, ...more }
}

/** What a relay heard since it was asked last, as it reads it. */
function told(session: SessionId): RelayMessage[] {
  world.hub.tellRelays(world.sent)
  const mine = world.sent.filter((effect) => effect.kind === 'tellRelay' && effect.session === session)
  for (const effect of mine) world.sent.splice(world.sent.indexOf(effect), 1)
  return mine.flatMap((effect) => {
    const message =
      effect.kind === 'tellRelay' ? tryDecodeMessage(relayMessage, encodeMessage(effect.message)) : undefined
    return message ?? []
  })
}

beforeEach(() => {
  world = new HubWorld()
  world.join(1, ALICE, 'alice')
})

describe('a relay with a session at the hub', () => {
  it('hears who signs tickets, then all of the directory, then changes', () => {
    world.say(50, hello())
    const [welcome, whole] = told(50)
    expect(welcome).toEqual({ type: 'relayWelcome', network: 'home', ticketKey: RELAY.text })
    expect(whole).toMatchObject({ type: 'directory', isFirst: true, isComplete: true, needsConsent: false })
    world.join(2, BOB, 'bob')
    expect(told(50)).toMatchObject([{ changed: [{ identity: BOB.identity.text }], removed: [] }])
    world.hub.remove(world.registry.require('bob'), world.sent)
    expect(told(50)).toMatchObject([{ changed: [], removed: [BOB.identity.text] }])
  })

  it('hears that a node came before that node hears anything', () => {
    world.say(50, hello())
    told(50)
    world.sent.length = 0
    world.join(2, BOB, 'bob')
    world.hub.tellRelays(world.sent)
    const kinds = world.sent.map((effect) => effect.kind)
    expect(kinds.lastIndexOf('tellRelay')).toBeLessThan(kinds.indexOf('send'))
  })

  it('is refused if the settings do not name it, or it does not prove its key', () => {
    const other = identityFromSeed(countingBytes(32, 77))
    world.say(50, hello(other))
    world.say(51, hello(RELAY, { proof: hello(other).proof }))
    for (const id of [50, 51]) {
      expect(world.heard(id)).toMatchObject([{ type: 'refused', code: 'unknown' }, 'close'])
      expect(told(id)).toEqual([])
      expect(world.hub.isMember(id)).toBe(false)
    }
  })

  it('gets an answer to its reports, and the hub knows whether it has heard all', () => {
    world.say(50, hello())
    const whole = told(50).at(-1)
    expect(world.hub.relays.presenceOf(RELAY.text)).toMatchObject({ isConnected: true, isCurrent: false })
    world.say(50, { type: 'heard', epoch: whole?.type === 'directory' ? whole.epoch : 0 })
    expect(told(50)).toEqual([{ type: 'beat', atS: Math.floor(world.nowMs / 1000) }])
    expect(world.hub.relays.presenceOf(RELAY.text)).toMatchObject({ isConnected: true, isCurrent: true })
    world.hub.handleClosed(50, world.sent)
    expect(world.hub.relays.presenceOf(RELAY.text).isConnected).toBe(false)
  })

  it('hears at once that the hub changes its key, and with every answer while that lasts', () => {
    world.say(50, hello())
    told(50)
    const change = { key: formatBase64(countingBytes(32, 7)), untilS: 2_000_000_000 }
    world.change = { type: 'hubKey', ...change }
    world.hub.keysChanged(world.sent)
    const atS = Math.floor(world.nowMs / 1000)
    expect(told(50)).toEqual([{ type: 'beat', atS, change }])
    world.say(50, { type: 'heard', epoch: 1 })
    expect(told(50)).toEqual([{ type: 'beat', atS, change }])
    world.change = undefined
    world.say(50, { type: 'heard', epoch: 1 })
    expect(told(50)).toEqual([{ type: 'beat', atS }])
  })

  it('ends its older session, and a hub that was set back goes on from the epoch that it has heard', () => {
    world.say(50, hello())
    const { epoch } = world.registry.revocations
    world.say(51, hello(RELAY, { epoch: epoch + 5000 }))
    expect(world.heard(50)).toContain('close')
    expect(world.registry.revocations.epoch).toBeGreaterThan(epoch + 5000)
    const directory = new HubDirectory({ ticketKey: RELAY.publicKey, wallNowMs: () => world.nowMs })
    for (const message of told(51)) if (message.type === 'directory') directory.apply(message)
    expect(directory.has(ALICE.identity.text)).toBe(true)
    expect(directory.epoch).toBe(world.registry.revocations.epoch)
  })

  it('cannot be a node in the same session, nor a node a relay', () => {
    world.say(50, hello())
    told(50)
    world.say(50, { type: 'signal', to: ALICE.identity.text, body: '' })
    expect(world.heard(1).filter((message) => message !== 'close' && message.type === 'signal')).toEqual([])
    world.say(1, hello())
    expect(world.heard(1).at(-1)).toBe('close')
    expect(told(1)).toEqual([])
  })
})
