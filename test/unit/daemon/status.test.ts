import { describe, expect, it } from 'vitest'
import { explainFilePeers } from '../../../src/daemon/explain-file-peers.js'
import { interfaceStatus, whyReports } from '../../../src/daemon/local-api-schema.js'
import { summarizePeer } from '../../../src/daemon/peer-summary.js'
import { createStatus, type StatusFrame } from '../../../src/daemon/status.js'
import { type IpAddress, ipFromBytes } from '../../../src/net/ip.js'
import type { PeerSnapshot } from '../../../src/wireguard/configuration.js'
import {
  formatKeyBase64,
  keyFromBytes,
  type PresharedKey,
  type PrivateKey,
  type PublicKey,
} from '../../../src/wireguard/keys.js'

const PUBLIC = keyFromBytes<PublicKey>(new Uint8Array(32).fill(1))
const PRIVATE = keyFromBytes<PrivateKey>(new Uint8Array(32).fill(2))
const PRESHARED = keyFromBytes<PresharedKey>(new Uint8Array(32).fill(3))

const PEER: PeerSnapshot = {
  publicKey: PUBLIC,
  presharedKey: PRESHARED,
  isManaged: false,
  endpoint: { address: ipFromBytes(Uint8Array.of(192, 0, 2, 1)), port: 51_820, scopeId: 0 },
  persistentKeepaliveS: 25,
  allowedIps: [{ address: ipFromBytes(Uint8Array.of(10, 0, 0, 2)), bits: 32 }],
  lastHandshakeWallMs: Date.UTC(2026, 0, 2),
  lastHandshakeMs: 1000,
  rxBytes: 5,
  txBytes: 6,
  state: 'connected',
  clockBehindS: 0,
}

const FRAME: StatusFrame = {
  interface: 'wg0',
  mode: 'tunnel',
  state: 'running',
  pid: 1,
  guardPid: null,
  version: '0',
  configFile: '/etc/overlay/wg0.conf',
  logFile: null,
  mtu: 1420,
  isUp: true,
  faults: [],
  addresses: ['10.0.0.1/24'],
  drops: { replayed: 3 },
  carried: { rxBytes: 0, rxMessages: 0, txBytes: 0, txMessages: 0 },
  networkNamespace: null,
  dataPlane: 'portable, node',
}

function statusOf(peer: PeerSnapshot, nowMs: number): ReturnType<typeof createStatus> {
  const device = { privateKey: PRIVATE, publicKey: PUBLIC, listenPort: 1, fwmark: 0, peers: [peer] }
  const peerNames = new Map([[formatKeyBase64(PUBLIC), 'laptop']])
  const faultOf = (address: IpAddress): string | undefined =>
    address.bytes[0] === 203 ? 'its route leads into wg0 itself' : undefined
  return createStatus({ frame: FRAME, device, peerNames, membership: undefined, faultOf, nowMs })
}

describe('the status of an interface', () => {
  it('is understood of a daemon from before there were guards', () => {
    const { guardPid, faults, ...status } = statusOf(PEER, 0)
    const read = interfaceStatus.parse(JSON.parse(JSON.stringify(status)))
    expect(read).toEqual({ ...status, guardPid: null, faults: [] })
  })

  it('is what the schema says', () => {
    const status = statusOf(PEER, 66_999)
    expect(interfaceStatus.parse(JSON.parse(JSON.stringify(status)))).toEqual(status)
    expect(status.peers[0]).toMatchObject({
      name: 'laptop',
      endpoint: '192.0.2.1:51820',
      allowedIps: ['10.0.0.2/32'],
      lastHandshakeAt: '2026-01-02T00:00:00.000Z',
      lastHandshakeAgeS: 65,
      hasPresharedKey: true,
    })
  })

  it('says what is wrong with the way to an endpoint, of peers of the file only', () => {
    const endpoint = { address: ipFromBytes(Uint8Array.of(203, 0, 113, 1)), port: 51_820, scopeId: 0 }
    const faults = [PEER, { ...PEER, endpoint }, { ...PEER, endpoint, isManaged: true }].map(
      (peer) => statusOf(peer, 0).peers[0]?.endpointFault,
    )
    expect(faults).toEqual(['', 'its route leads into wg0 itself', ''])
    const [report] = explainFilePeers(
      [{ ...PEER, endpoint }],
      new Map([[formatKeyBase64(PUBLIC), 'laptop']]),
      () => 'its route leads into wg0 itself',
    )
    expect(report).toMatchObject({ node: 'laptop', code: 'LEADS_INTO_TUNNEL', endpoint: '203.0.113.1:51820' })
    expect(whyReports.parse(JSON.parse(JSON.stringify([report])))).toEqual([report])
  })

  it('holds no secret', () => {
    const text = JSON.stringify(statusOf(PEER, 0))
    expect(text).not.toContain(formatKeyBase64(PRIVATE))
    expect(text).not.toContain(formatKeyBase64(PRESHARED))
  })

  it('says null, not 1970, for a peer never met', () => {
    const peer = statusOf({ ...PEER, lastHandshakeMs: 0, lastHandshakeWallMs: 0 }, 5000).peers[0]
    expect(peer).toMatchObject({ lastHandshakeAt: null, lastHandshakeAgeS: null })
  })
})

describe('the state of a peer in words', () => {
  const never = { lastHandshakeMs: 0, lastHandshakeWallMs: 0 }

  it.each([
    ['connected', { state: 'connected' }],
    ['waiting for an answer', { state: 'handshaking', ...never }],
    ['connecting again: waiting for an answer', { state: 'handshaking' }],
    ['unreachable: no answer for 90 s', { state: 'unreachable' }],
    ['no endpoint known: waiting for the peer to connect', { state: 'idle', endpoint: undefined }],
    ['not connected yet: nothing was sent', { state: 'idle', ...never }],
    ['idle: connects again when there is traffic', { state: 'idle' }],
    [
      'its clock is 2 days, 3 hours behind what it was: set it right on that machine, or forget what it was by taking this tunnel down and up',
      { state: 'unreachable', clockBehindS: 51 * 3600 },
    ],
    ['connected', { state: 'connected', clockBehindS: 51 * 3600 }],
  ] as const)('says "%s"', (words, change) => {
    expect(summarizePeer({ ...PEER, ...change }, 1_000_000)).toBe(words)
  })
})
