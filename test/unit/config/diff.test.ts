import { describe, expect, it } from 'vitest'
import { toDeviceUpdate } from '../../../src/config/device-update.js'
import { diffConfig } from '../../../src/config/diff.js'
import { parseConfig } from '../../../src/config/parse.js'
import { routesOf } from '../../../src/config/routes.js'
import type { Endpoint } from '../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../src/net/ip.js'
import { formatPrefix, type Prefix } from '../../../src/net/prefix.js'
import { FULL_FILE, sampleKey } from './samples.js'

const ENDPOINT: Endpoint = { address: ipFromBytes(Uint8Array.of(192, 0, 2, 7)), port: 51821, scopeId: 0 }
const RESOLVED = new Map([
  ['vpn.example.org:51821', ENDPOINT],
  ['192.0.2.7:51821', ENDPOINT],
])

const before = parseConfig(FULL_FILE, 'a')

function diff(...edits: readonly (readonly [string, string])[]): ReturnType<typeof diffConfig> {
  let text = FULL_FILE
  for (const [from, to] of edits) {
    expect(text).toContain(from)
    text = text.replace(from, to)
  }
  return diffConfig(before, parseConfig(text, 'b'), RESOLVED)
}

function texts(prefixes: readonly Prefix[]): string[] {
  return prefixes.map(formatPrefix)
}

describe('the update that sets a device', () => {
  it('holds everything of the file, and the endpoints that were resolved', () => {
    const update = toDeviceUpdate(before, RESOLVED)
    expect(update).toMatchObject({ listenPort: 51820, fwmark: 0xca6c, replacePeers: true })
    expect(update.privateKey?.[0]).toBe(1)
    const [alice, other] = update.peers
    expect(alice).toMatchObject({ endpoint: ENDPOINT, persistentKeepaliveS: 25, replaceAllowedIps: true })
    expect(alice?.presharedKey?.[0]).toBe(3)
    expect(texts(alice?.allowedIps.map(({ prefix }) => prefix) ?? [])).toHaveLength(3)
    expect(other).toMatchObject({ presharedKey: null, persistentKeepaliveS: 0, allowedIps: [] })
    expect(other).not.toHaveProperty('endpoint')
  })

  it('leaves port and private key alone where the file says nothing', () => {
    expect(toDeviceUpdate(parseConfig('', 'a'), RESOLVED)).toEqual({
      fwmark: 0,
      replacePeers: true,
      peers: [],
    })
  })
})

describe('the change between two files', () => {
  it('is nothing if they say the same', () => {
    const reordered = ['10.0.0.2, fd00::2/128', 'fd00::2/128, 10.0.0.2'] as const
    expect(diff(['# a laptop', '# mine'], reordered)).toEqual({ peers: [] })
  })

  it('touches only the peer that changed, and only what changed of it', () => {
    const update = diff(['PersistentKeepalive = 25', 'PersistentKeepalive = 26'])
    const publicKey = before.peers[0]?.publicKey
    expect(update).toEqual({ peers: [{ publicKey, persistentKeepaliveS: 26, allowedIps: [] }] })
  })

  it('removes and adds peers', () => {
    const update = diff([`PublicKey = ${sampleKey(4)}`, `PublicKey = ${sampleKey(5)}`])
    expect(update.peers).toHaveLength(2)
    expect(update.peers[0]).toMatchObject({ publicKey: before.peers[1]?.publicKey, remove: true })
    expect(update.peers[1]).toMatchObject({ presharedKey: null, replaceAllowedIps: true })
    expect(update.peers[1]?.publicKey[0]).toBe(5)
  })

  it('takes a preshared key away and replaces allowed IPs', () => {
    const update = diff([`PresharedKey = ${sampleKey(3)}\n`, ''], ['AllowedIPs = 10.2.0.0/16\n', ''])
    expect(update.peers).toHaveLength(1)
    expect(update.peers[0]).toMatchObject({ presharedKey: null, replaceAllowedIps: true })
    expect(update.peers[0]?.allowedIps).toHaveLength(2)
  })

  it('sets an endpoint only if its text changed', () => {
    expect(diff().peers).toEqual([])
    const update = diff(['vpn.example.org', '192.0.2.7'])
    expect(update.peers).toEqual([
      { publicKey: before.peers[0]?.publicKey, endpoint: ENDPOINT, allowedIps: [] },
    ])
    expect(diff(['vpn.example.org', 'unresolved.example.org']).peers).toEqual([])
  })

  it('sets private key, port and mark', () => {
    const update = diff([sampleKey(1), sampleKey(6)], ['51820', '1'], ['0xca6c', 'off'])
    expect(update).toMatchObject({ listenPort: 1, fwmark: 0, peers: [] })
    expect(update.privateKey?.[0]).toBe(6)
    expect(diff(['ListenPort = 51820\n', ''])).toEqual({ peers: [] })
    expect(diff([`PrivateKey = ${sampleKey(1)}\n`, '']).privateKey).toBeNull()
  })
})

describe('routes', () => {
  it('are the allowed IPs of all peers, the most specific first', () => {
    const peer = (byte: number, ips: string): string =>
      `[Peer]\nPublicKey = ${sampleKey(byte)}\nAllowedIPs = ${ips}\n`
    const config = parseConfig(peer(1, '0.0.0.0/0, 10.0.0.0/8') + peer(2, '::/0, 10.1.0.0/16, fd00::1'), 'a')
    expect(texts(routesOf(config))).toEqual(['fd00::1/128', '10.1.0.0/16', '10.0.0.0/8', '0.0.0.0/0', '::/0'])
    expect(routesOf(before)).toEqual([])
  })
})
