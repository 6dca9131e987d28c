import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeMessage,
  type HubMessage,
  hubMessage,
  MAX_ASKING_PER_MESSAGE,
  MAX_MESSAGE_BYTES,
  MAX_NODES_PER_MESSAGE,
  nodeInfo,
  nodeMessage,
  tryDecodeMessage,
} from '../../../src/control/messages.js'
import { helloOf, infoOf, prefixOf, previousKeyOf, testNode } from '../../support/control.js'

const WELCOME: HubMessage = {
  type: 'welcome',
  network: 'home',
  prefix4: '100.64.0.0/16',
  prefix6: 'fd12:3456:789a::/48',
  name: 'alice',
  v4: '100.64.0.1',
  v6: 'fd12:3456:789a::1',
  relays: [{ key: testNode(1).identity.text, host: 'hub.example.org', port: 443 }],
  stun: [{ host: '192.0.2.1', port: 3478 }],
  ticket: '',
}

describe('messages of a control session', () => {
  it('come as they were sent', () => {
    const hello = helloOf(testNode(1), { secret: 'AAAA', name: 'alice', localPrefixes: ['10.0.0.0/8'] })
    expect(tryDecodeMessage(nodeMessage, encodeMessage(hello))).toEqual(hello)
    expect(tryDecodeMessage(hubMessage, encodeMessage(WELCOME))).toEqual(WELCOME)
    const changed = [infoOf(testNode(2), prefixOf('fd12:3456:789a::/48'))]
    const nodes: HubMessage = { type: 'nodes', changed, removed: [], isComplete: true }
    expect(tryDecodeMessage(hubMessage, encodeMessage(nodes))).toEqual(nodes)
  })

  it('of nodes say how near relays are, within bounds; older ones did not', () => {
    const relayRtts = Object.fromEntries(
      Array.from({ length: 8 }, (_, i) => [testNode(i).identity.text, 60_000]),
    )
    const update = (rtts: Record<string, number>): Uint8Array =>
      encodeMessage({ type: 'update', relayRtts: rtts })
    expect(tryDecodeMessage(nodeMessage, update(relayRtts))).toEqual({ type: 'update', relayRtts })
    for (const wrong of [{ [testNode(9).identity.text]: 1 }, { short: 1 }]) {
      expect(tryDecodeMessage(nodeMessage, update({ ...relayRtts, ...wrong }))).toBeUndefined()
    }
    for (const ms of [-1, 60_001, 1.5]) {
      expect(tryDecodeMessage(nodeMessage, update({ [testNode(1).identity.text]: ms }))).toBeUndefined()
    }
    const { relayRtts: _, ...older } = infoOf(testNode(2), prefixOf('fd12:3456:789a::/48'))
    expect(nodeInfo.parse({ ...older, homeRelay: testNode(1).identity.text })).toEqual({
      ...older,
      relayRtts: {},
    })
  })

  it('hold as many nodes as they may, all with long names, two keys and many relays', () => {
    const info = infoOf(testNode(2), prefixOf('fd12:3456:789a::/48'), {
      name: 'n'.repeat(63),
      v4: '100.127.255.255',
      previousTunnelKey: previousKeyOf(testNode(2)),
      relayRtts: Object.fromEntries(Array.from({ length: 8 }, (_, i) => [testNode(i).identity.text, 60_000])),
      isOnline: false,
    })
    const changed = Array(MAX_NODES_PER_MESSAGE).fill(info)
    const removed = Array(MAX_NODES_PER_MESSAGE).fill(info.identity)
    const nodes: HubMessage = { type: 'nodes', changed, removed, isComplete: false }
    expect(tryDecodeMessage(hubMessage, encodeMessage(nodes))).toEqual(nodes)
  })

  it('tell as many nodes that could be asked as they may, and of each no more than it takes', () => {
    const { identity } = testNode(2)
    const asking = { identity: identity.text, name: 'n'.repeat(63), direction: 'theirs' as const }
    const message: HubMessage = {
      type: 'asking',
      changed: Array(MAX_ASKING_PER_MESSAGE).fill(asking),
      removed: Array(MAX_ASKING_PER_MESSAGE).fill(identity.text),
      isFirst: false,
    }
    expect(tryDecodeMessage(hubMessage, encodeMessage(message))).toEqual(message)
    const decode = (wrong: object): HubMessage | undefined => {
      const text = JSON.stringify({ type: 'asking', changed: [{ ...asking, ...wrong }], removed: [] })
      return tryDecodeMessage(hubMessage, new TextEncoder().encode(text))
    }
    expect(decode({ v4: '100.64.0.1' })).toEqual({ type: 'asking', changed: [asking], removed: [] })
    for (const wrong of [{ name: 'a b' }, { identity: '\u001b'.repeat(44) }, { direction: 'both' }]) {
      expect(decode(wrong)).toBeUndefined()
    }
    const consent = { type: 'consent', identity: identity.text, isGiven: true } as const
    expect(tryDecodeMessage(nodeMessage, encodeMessage(consent))).toEqual(consent)
  })

  it.each([
    ['a prefix that is none', { prefix4: 'x' }],
    ['a prefix of the other family', { prefix4: 'fd00::/48' }],
    ['a prefix that is everything', { prefix4: '0.0.0.0/0' }],
    ['a prefix that is too wide', { prefix6: 'fd00::/8' }],
    ['a name that DNS would refuse', { network: 'a b' }],
    ['a relay without a port', { relays: [{ key: testNode(1).identity.text, host: 'x', port: 0 }] }],
    ['a key that is too short', { relays: [{ key: 'x', host: 'x', port: 1 }] }],
    ['far too many servers', { stun: Array(17).fill({ host: 'x', port: 1 }) }],
  ])('are refused with %s', (_what, wrong) => {
    const bytes = new TextEncoder().encode(JSON.stringify({ ...WELCOME, ...wrong }))
    expect(tryDecodeMessage(hubMessage, bytes)).toBeUndefined()
  })

  it('say for how long a refusal holds, within an hour', () => {
    const refusal = { type: 'refused', code: 'rateLimited', message: 'too often', hint: '' } as const
    for (const retryAfterS of [undefined, 0, 3600]) {
      const said = { ...refusal, ...(retryAfterS !== undefined && { retryAfterS }) }
      expect(tryDecodeMessage(hubMessage, encodeMessage(said))).toEqual(said)
    }
    for (const retryAfterS of [-1, 0.5, 3601]) {
      expect(tryDecodeMessage(hubMessage, encodeMessage({ ...refusal, retryAfterS }))).toBeUndefined()
    }
  })

  it('are refused when they are too long, or no JSON', () => {
    const signal = { type: 'signal' as const, to: testNode(1).identity.text, body: 'x'.repeat(4097) }
    expect(tryDecodeMessage(nodeMessage, encodeMessage(signal))).toBeUndefined()
    expect(tryDecodeMessage(nodeMessage, new Uint8Array(MAX_MESSAGE_BYTES + 1))).toBeUndefined()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(tryDecodeMessage(nodeMessage, bytes)).toBeUndefined()
        expect(tryDecodeMessage(hubMessage, bytes)).toBeUndefined()
      }),
    )
  })
})
