import { describe, expect, it } from 'vitest'
import { Netmap, type NetmapChange, requirePrefix } from '../../../src/control/netmap.js'
import { MAX_PINNED_KEYS, Pins } from '../../../src/control/pins.js'
import { signTunnelKey } from '../../../src/control/tunnel-key.js'
import { formatIp } from '../../../src/net/ip.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { formatKeyBase64, type PublicKey, tryParseKeyBase64 } from '../../../src/wireguard/keys.js'
import { infoOf, KEY_NUMBER, prefixOf, previousKeyOf, testNode, WALL_MS } from '../../support/control.js'

const PREFIX6 = prefixOf('fd12:3456:789a::/48')
const OWN = testNode(1)
const ALICE = testNode(2)
const MALLORY = testNode(3)

/** What the netmap of the test last made remembers for ever. */
let pins: Pins

function netmap(
  wallNowMs = () => WALL_MS,
  isWelcome = (_identity: string) => true,
  known = new Pins(),
): Netmap {
  pins = known
  return new Netmap({
    crypto: nobleCrypto,
    prefix4: prefixOf('100.64.0.0/16'),
    prefix6: PREFIX6,
    pins,
    ownIdentity: OWN.identity.text,
    wallNowMs,
    isWelcome,
  })
}

const alice = (more = {}) => infoOf(ALICE, PREFIX6, { name: 'alice', ...more })

function tell(map: Netmap, ...changed: ReturnType<typeof infoOf>[]): NetmapChange {
  return map.apply({ type: 'nodes', changed, removed: [] })
}

describe('a netmap', () => {
  it('holds what is signed and certifies itself', () => {
    const map = netmap()
    const change = tell(map, alice())
    expect(change.faults).toEqual([])
    expect(change.changed.map(({ name }) => name)).toEqual(['alice'])
    expect(formatIp(map.nodes[0]?.v4.address ?? { family: 4, bytes: new Uint8Array(4) })).toBe('100.64.0.7')
    expect(map.find(ALICE.identity.text)?.isOnline).toBe(true)
    expect(tell(map, alice()).changed).toEqual([])
    expect(tell(map, alice({ isOnline: false })).changed).toHaveLength(1)
    expect(map.apply({ type: 'nodes', changed: [], removed: [ALICE.identity.text] }).removed).toHaveLength(1)
    expect(map.nodes).toEqual([])
  })

  it('passes over this node itself', () => {
    expect(tell(netmap(), infoOf(OWN, PREFIX6)).changed).toEqual([])
  })

  it('refuses a hub that swaps a tunnel key', () => {
    const map = netmap()
    const { faults, changed } = tell(map, alice({ tunnelKey: MALLORY.tunnelKey }))
    expect(changed).toEqual([])
    expect(faults).toEqual([
      "the hub's entry for alice is refused: its tunnel key is not signed by its identity",
    ])
    expect(map.faults.get('alice')).toContain('not signed')
  })

  it('refuses a hub that hands an address to another', () => {
    const v6 = infoOf(MALLORY, PREFIX6).v6
    expect(tell(netmap(), alice({ v6 })).faults[0]).toContain('its IPv6 address is not that of its identity')
    expect(tell(netmap(), alice({ v4: '8.8.8.8' })).faults[0]).toContain('not of this network')
    expect(tell(netmap(), alice({ v4: 'fd00::1' })).faults[0]).toContain('not of this network')
    const map = netmap()
    tell(map, alice())
    const thief = infoOf(MALLORY, PREFIX6, { name: 'mallory' })
    expect(tell(map, thief).faults[0]).toContain('its IPv4 address belonged to another identity')
  })

  it('refuses a hub that gives a known name to another identity, until a person vouches for it', () => {
    const map = netmap()
    tell(map, alice())
    map.apply({ type: 'nodes', changed: [], removed: [ALICE.identity.text] })
    const impostor = infoOf(MALLORY, PREFIX6, { name: 'alice', v4: '100.64.0.9' })
    expect(tell(map, impostor).faults[0]).toContain(
      'its name belonged to another identity; if it was set up anew',
    )
    expect(map.nodes).toEqual([])
    expect(pins.ownerOf('alice')).toBe(ALICE.identity.text)
    expect(map.trust(ALICE.identity.text)).toBeUndefined()
    expect(map.trust(MALLORY.identity.text)?.changed).toHaveLength(1)
    expect(map.nodes[0]?.identity).toBe(MALLORY.identity.text)
    expect(map.faults.size).toBe(0)
    expect(tell(map, alice({ v4: '100.64.0.11' })).faults[0]).toContain('belonged to another')
  })

  it('refuses a hub that brings a node to which this one said no yes, in words, until it does', () => {
    let isWelcome = false
    const map = netmap(undefined, () => isWelcome)
    const { changed, faults } = tell(map, alice())
    expect([changed, map.nodes]).toEqual([[], []])
    expect(faults).toEqual([
      "the hub's entry for alice is refused: this node has not said yes to it; " +
        'if you want to reach it, type: overlay trust alice',
    ])
    expect(pins.ownerOf('alice')).toBeUndefined()
    expect(map.refused).toEqual([{ identity: ALICE.identity.text, name: 'alice', fault: faults[0] }])
    expect(map.trust(ALICE.identity.text)?.changed).toEqual([])
    isWelcome = true
    expect(map.trust(ALICE.identity.text)?.changed).toHaveLength(1)
    expect(map.refused).toEqual([])
  })

  it('gives a name to the identity that a person vouches for, before the hub brings it', () => {
    const map = netmap()
    tell(map, alice())
    expect(map.pin('alice', MALLORY.identity.text).removed.map(({ identity }) => identity)).toEqual([
      ALICE.identity.text,
    ])
    const anew = infoOf(MALLORY, PREFIX6, { name: 'alice', v4: '100.64.0.9' })
    expect(tell(map, anew).changed).toHaveLength(1)
    expect(tell(map, alice()).faults[0]).toContain('its name belonged to another identity')
  })

  it('forgets whom a whole list does not name', () => {
    const map = netmap()
    tell(map, alice(), infoOf(MALLORY, PREFIX6, { name: 'mallory', v4: '100.64.0.8' }))
    map.handleWelcome()
    const change = map.apply({ type: 'nodes', changed: [alice()], removed: [], isComplete: true })
    expect(change.removed.map(({ name }) => name)).toEqual(['mallory'])
    expect(map.apply({ type: 'nodes', changed: [], removed: [], isComplete: true }).removed).toEqual([])
  })

  it('comes back from its stored form, with what it knew of names', () => {
    const map = netmap()
    tell(map, alice())
    const known = new Pins()
    known.restore(JSON.parse(JSON.stringify(pins.toStored())))
    const later = netmap(undefined, undefined, known)
    expect(later.restore(JSON.parse(JSON.stringify(map.toStored()))).changed).toHaveLength(1)
    expect(later.nodes[0]?.isOnline).toBe(false)
    const impostor = infoOf(MALLORY, PREFIX6, { name: 'alice', v4: '100.64.0.9' })
    expect(tell(later, impostor).faults).toHaveLength(1)
    const edited = map.toStored()
    const forged = {
      ...edited,
      nodes: edited.nodes.map((node) => ({ ...node, tunnelKey: MALLORY.tunnelKey })),
    }
    expect(netmap().restore(forged).faults).toHaveLength(1)
  })

  describe('of nodes that change their tunnel keys', () => {
    const previousTunnelKey = previousKeyOf(ALICE)
    const previousOf = (map: Netmap): string | undefined => {
      const key = map.find(ALICE.identity.text)?.previousTunnelKey
      return key && formatKeyBase64(key)
    }

    /** The key of `previousTunnelKey`, as the node signed it when it was in use. */
    const keyOfNumber = (number: number): ReturnType<typeof signTunnelKey> => {
      const key = tryParseKeyBase64<PublicKey>(previousTunnelKey.key)
      if (key === undefined) throw new Error('no key')
      const { notBefore, notAfter } = ALICE.tunnelKey
      return signTunnelKey(ALICE.identity, key, { number, notBefore, notAfter })
    }
    const OLDER = "the hub's entry for alice is refused: its tunnel key is older than one that it had"

    it('holds the previous one too, through restarts, until the node names none', () => {
      const map = netmap()
      tell(map, alice())
      expect(tell(map, alice({ previousTunnelKey })).changed).toHaveLength(1)
      expect(previousOf(map)).toBe(previousTunnelKey.key)
      const later = netmap()
      later.restore(JSON.parse(JSON.stringify(map.toStored())))
      expect(previousOf(later)).toBe(previousTunnelKey.key)
      expect(tell(later, alice()).changed).toHaveLength(1)
      expect(previousOf(later)).toBeUndefined()
    })

    it('takes no previous one that the node did not sign, and the node all the same', () => {
      const map = netmap()
      const change = tell(map, alice({ previousTunnelKey: MALLORY.tunnelKey }))
      expect([change.changed.length, change.faults]).toEqual([1, []])
      expect(previousOf(map)).toBeUndefined()
    })

    it('drops a previous one that has expired, though no hub says so', () => {
      let nowMs = WALL_MS
      const map = netmap(() => nowMs)
      tell(map, alice({ previousTunnelKey, tunnelKey: { ...ALICE.tunnelKey } }))
      expect(map.expirePreviousKeys().changed).toEqual([])
      nowMs += 3 * 86_400_000
      expect(map.expirePreviousKeys().changed).toMatchObject([
        { name: 'alice', previousTunnelKey: undefined },
      ])
      expect(map.expirePreviousKeys().changed).toEqual([])
      expect(JSON.stringify(map.toStored())).not.toContain('previousTunnelKey')
    })

    it('refuses an older one that the hub brings back, in words, and another of the same number', () => {
      const map = netmap()
      tell(map, alice())
      for (const number of [0, KEY_NUMBER - 1, KEY_NUMBER]) {
        expect(tell(map, alice({ tunnelKey: keyOfNumber(number) })).changed).toEqual([])
        expect(map.faults.get('alice')).toBe(OLDER)
      }
      const held = map.find(ALICE.identity.text)?.tunnelKey
      expect(held && formatKeyBase64(held)).toBe(ALICE.tunnelKey.key)
      expect(tell(map, alice({ tunnelKey: keyOfNumber(KEY_NUMBER + 1) })).changed).toHaveLength(1)
      expect(tell(map, alice()).changed).toEqual([])
    })

    it('refuses an older one also of a node that was removed and comes again, and after a restart', () => {
      const map = netmap()
      tell(map, alice())
      map.apply({ type: 'nodes', changed: [], removed: [ALICE.identity.text] })
      const tunnelKey = keyOfNumber(KEY_NUMBER - 1)
      expect(tell(map, alice({ tunnelKey })).faults).toEqual([OLDER])
      const known = new Pins()
      known.restore(JSON.parse(JSON.stringify(pins.toStored())))
      expect(tell(netmap(undefined, undefined, known), alice({ tunnelKey })).faults).toEqual([OLDER])
    })

    it('takes no key for the previous one that was signed as one in use, or beside another', () => {
      const map = netmap()
      tell(map, alice({ previousTunnelKey: keyOfNumber(KEY_NUMBER) }))
      expect(previousOf(map)).toBeUndefined()
      const later = { ...ALICE.tunnelKey, number: KEY_NUMBER + 1 }
      const key = map.find(ALICE.identity.text)?.tunnelKey
      if (key === undefined) throw new Error('no key')
      tell(map, alice({ tunnelKey: signTunnelKey(ALICE.identity, key, later), previousTunnelKey }))
      expect(previousOf(map)).toBeUndefined()
    })

    it('refuses newcomers when there is no room to remember them, but for one whose signatures expired', () => {
      const keys = Array.from({ length: MAX_PINNED_KEYS }, (_, index) => [
        `identity ${index}`,
        { number: 1, notAfter: WALL_MS / 1000 },
      ])
      const known = new Pins()
      known.restore({ owners: {}, keys: Object.fromEntries(keys) })
      expect(tell(netmap(undefined, undefined, known), alice()).faults[0]).toContain('no room to remember it')
      const later = WALL_MS + 86_400_000 + 2000
      expect(
        tell(
          netmap(() => later, undefined, known),
          alice(),
        ).changed,
      ).toHaveLength(1)
    })

    it('refuses a node that signs a key of another one as its own', () => {
      const map = netmap()
      tell(map, alice({ previousTunnelKey }))
      const terms = { notBefore: WALL_MS / 1000 - 60, notAfter: WALL_MS / 1000 + 60 }
      let number = KEY_NUMBER
      const claim = (
        text: string,
        role: 'current' | 'previous' = 'current',
      ): ReturnType<typeof signTunnelKey> => {
        const key = tryParseKeyBase64<PublicKey>(text)
        if (key === undefined) throw new Error('no key')
        number += role === 'current' ? 1 : 0
        return signTunnelKey(MALLORY.identity, key, { number, ...terms }, role)
      }
      const mallory = { name: 'mallory', v4: '100.64.0.8' }
      for (const { key } of [ALICE.tunnelKey, previousTunnelKey]) {
        const { faults } = tell(map, infoOf(MALLORY, PREFIX6, { ...mallory, tunnelKey: claim(key) }))
        expect(faults[0]).toContain('its tunnel key is that of another node')
        tell(map, infoOf(MALLORY, PREFIX6, { ...mallory, previousTunnelKey: claim(key, 'previous') }))
        expect(map.find(MALLORY.identity.text)?.previousTunnelKey).toBeUndefined()
      }
      map.apply({ type: 'nodes', changed: [], removed: [ALICE.identity.text] })
      tell(map, infoOf(MALLORY, PREFIX6, { ...mallory, tunnelKey: claim(ALICE.tunnelKey.key) }))
      expect(tell(map, alice()).faults[0]).toContain('its tunnel key is that of another node')
    })
  })

  it('takes prefixes only as prefixes', () => {
    expect(() => requirePrefix('x')).toThrow(RangeError)
  })
})
