/** How much a device does at once, and whether it forgets nothing over it. */

import { beforeEach, describe, expect, test } from 'vitest'
import { ipFromBytes } from '../../../src/net/ip.js'
import type { Path } from '../../../src/net/path.js'
import { MAX_QUEUED_HANDSHAKES } from '../../../src/wireguard/constants.js'
import { CookieJar } from '../../../src/wireguard/cookie.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { Device } from '../../../src/wireguard/device.js'
import type { Effects } from '../../../src/wireguard/effects.js'
import { keyFromBytes, type PrivateKey, type PublicKey } from '../../../src/wireguard/keys.js'
import { expectDefined, HandshakePair } from '../../support/handshake-pair.js'
import { seededRandom } from '../../support/seeded-random.js'

const NOW_MS = 1_000_000
const PEERS = 200
const SILENT = {
  lastSendMs: 0,
  lastDataSendMs: 0,
  firstUnansweredSendMs: 0,
  lastReceiveMs: 0,
  lastDataReceiveMs: 0,
  firstUnansweredReceiveMs: 0,
}

function pathFrom(host: number): Path {
  const address = ipFromBytes(Uint8Array.of(192, 0, host >> 8, host & 255))
  return { socket: 1, remote: { address, port: 51820, scopeId: 0 }, local: undefined }
}

describe('a device', () => {
  const random = seededRandom(8)
  const privateKey = keyFromBytes<PrivateKey>(random(32))
  let device: Device

  beforeEach(() => {
    device = new Device({
      crypto: nodeCrypto,
      random,
      wallNowMs: () => NOW_MS,
      activityOf: () => SILENT,
      maxPeers: PEERS,
    })
    device.configure({ privateKey, peers: [] }, NOW_MS, [])
  })

  /** Effects of one call each, until nothing is due. */
  function turns(): Effects[] {
    const seen: Effects[] = []
    while (device.nextDeadlineMs() <= NOW_MS && seen.length < 1000) {
      const effects: Effects = []
      device.handleTimeout(NOW_MS, effects)
      seen.push(effects)
    }
    return seen
  }

  function initiation(): Uint8Array {
    const pair = new HandshakePair(nodeCrypto, nodeCrypto, {
      random,
      initiator: random(32),
      responder: privateKey,
      presharedKey: new Uint8Array(32),
      timestamp: new Uint8Array(12).fill(1),
    })
    const { message } = pair.createInitiation()
    new CookieJar(nodeCrypto, expectDefined(device.staticKey).publicKey).stamp(message, NOW_MS)
    return message
  }

  test('whose peers all want to start at once starts some in each turn, and all in the end', () => {
    const peers = Array.from({ length: PEERS }, (_, i) => ({
      publicKey: keyFromBytes<PublicKey>(new Uint8Array(32).fill(9).fill(i, 0, 1)),
      persistentKeepaliveS: 25,
      allowedIps: [],
    }))
    device.configure({ peers }, NOW_MS, [])
    const perTurn = turns()
    expect(Math.max(...perTurn.map((effects) => effects.length))).toBeLessThanOrEqual(32)
    const slots = perTurn.flat().map((effect) => (effect.kind === 'sendKeepalive' ? effect.slot : -1))
    expect(slots.sort((a, b) => a - b)).toEqual(Array.from({ length: PEERS }, (_, i) => i))
    expect(device.nextDeadlineMs()).toBe(NOW_MS + 25_000)
  })

  test('answers some handshakes in each turn, and has none waiting in the end', () => {
    for (let i = 0; i < 100; i++) device.handleDatagram(pathFrom(i), initiation(), NOW_MS, [])
    device.handleTimeout(NOW_MS, [])
    expect(device.drops.get('handshakeUnknownPeer')).toBe(16)
    expect(turns()).toHaveLength(6)
    expect(device.drops.get('handshakeUnknownPeer')).toBe(100)
  })

  test('that goes down forgets the handshakes that wait', () => {
    device.handleDatagram(pathFrom(1), initiation(), NOW_MS, [])
    expect(device.nextDeadlineMs()).toBeLessThan(NOW_MS)
    device.setSockets(undefined, NOW_MS, [])
    expect(turns()).toEqual([])
    expect(device.drops.size).toBe(0)
  })

  test('that gets the key of a peer is that peer, and has it no more', () => {
    const other = keyFromBytes<PrivateKey>(random(32))
    const { publicKey } = nodeCrypto.dhPrivateKey(other)
    device.configure({ peers: [{ publicKey, allowedIps: [] }] }, NOW_MS, [])
    expect(device.peerCount).toBe(1)
    const effects: Effects = []
    device.configure({ privateKey: other, peers: [] }, NOW_MS, effects)
    expect(device.peerCount).toBe(0)
    expect(effects).toEqual([{ kind: 'removePeer', slot: 0 }])
  })

  test('under a flood lets few handshakes wait, and sends the others for a cookie', () => {
    const message = initiation()
    const effects: Effects = []
    for (let i = 0; i < MAX_QUEUED_HANDSHAKES; i++)
      device.handleDatagram(pathFrom(i), message, NOW_MS, effects)
    expect(new Set(effects.map((effect) => effect.kind))).toEqual(new Set(['send']))
    expect(effects.length).toBe(device.drops.get('handshakeCookieRequired'))
    expect(turns().length * 16).toBeLessThan(1000)
  })

  test('answers with cookies only who knows its public key, with less than it was sent, and only there', () => {
    const effects: Effects = []
    for (let i = 0; i < 1000; i++) device.handleDatagram(pathFrom(7), initiation(), NOW_MS, effects)
    effects.length = 0
    const bent = initiation()
    bent[120] = (bent[120] ?? 0) ^ 1
    device.handleDatagram(pathFrom(8), bent, NOW_MS, effects)
    expect(effects).toEqual([])
    device.handleDatagram(pathFrom(9), initiation(), NOW_MS, effects)
    const [reply] = effects
    expect(effects).toHaveLength(1)
    expect(reply).toMatchObject({ kind: 'send', path: pathFrom(9) })
    expect(reply?.kind === 'send' && reply.message.length).toBe(64)
  })
})
