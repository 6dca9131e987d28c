import { describe, expect, it } from 'vitest'
import { formatConfig } from '../../../src/config/format.js'
import { parseConfig } from '../../../src/config/parse.js'
import { type LiveState, mergeLiveState } from '../../../src/daemon/save-config.js'
import type { Endpoint } from '../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../src/net/ip.js'
import { type Prefix, tryParsePrefix } from '../../../src/net/prefix.js'
import type { PeerSnapshot } from '../../../src/wireguard/configuration.js'
import {
  keyFromBytes,
  type PrivateKey,
  type PublicKey,
  tryParseKeyBase64,
} from '../../../src/wireguard/keys.js'

const FILE = `[Interface]
PrivateKey = 8GboYh0YF3q/hJhoPFoL3HM/ObgOuC8YI6UXWsgWL2M=
Address = 10.0.0.1/24
PostUp = echo %i up
SaveConfig = true
[Peer]
Name = laptop
PublicKey = OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI=
Endpoint = laptop.example:51820
AllowedIPs = 10.0.0.2/32
`
const CONFIG = parseConfig(FILE, 'test')
const LAPTOP = tryParseKeyBase64<PublicKey>('OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI=') as PublicKey
const HERE: Endpoint = { address: ipFromBytes(Uint8Array.of(192, 0, 2, 1)), port: 51_820, scopeId: 0 }
const THERE: Endpoint = { ...HERE, port: 4242 }

function prefix(text: string): Prefix {
  return tryParsePrefix(text) as Prefix
}

function peer(publicKey: PublicKey, endpoint: Endpoint | undefined): PeerSnapshot {
  return {
    publicKey,
    presharedKey: undefined,
    isManaged: false,
    endpoint,
    persistentKeepaliveS: 0,
    allowedIps: [prefix('10.0.0.2/32')],
    lastHandshakeWallMs: 0,
    lastHandshakeMs: 0,
    rxBytes: 0,
    txBytes: 0,
    state: 'idle',
    clockBehindS: 0,
  }
}

function live(peers: readonly PeerSnapshot[], addresses: readonly string[] = ['10.0.0.1/24']): LiveState {
  return {
    device: {
      privateKey: CONFIG.interface.privateKey as PrivateKey,
      publicKey: undefined,
      listenPort: 4000,
      fwmark: 51_820,
      peers,
    },
    addresses: addresses.map(prefix),
    endpoints: new Map([['laptop.example:51820', HERE]]),
  }
}

describe('saving the live state', () => {
  it('keeps names, hooks and switches of the file and writes the port in use', () => {
    const saved = mergeLiveState(CONFIG, live([peer(LAPTOP, HERE)]))
    expect(saved).toEqual({ ...CONFIG, interface: { ...CONFIG.interface, listenPort: 4000 } })
    expect(parseConfig(formatConfig(saved), 'saved')).toEqual(saved)
  })

  it('writes where a peer is now if it moved', () => {
    const saved = mergeLiveState(CONFIG, live([peer(LAPTOP, THERE)]))
    expect(saved.peers[0]?.endpoint).toEqual({ host: '192.0.2.1', port: 4242 })
  })

  it('drops peers that were removed and takes in those that were added', () => {
    const stranger = keyFromBytes<PublicKey>(new Uint8Array(32).fill(7))
    const saved = mergeLiveState(CONFIG, live([peer(stranger, undefined)]))
    expect(saved.peers).toMatchObject([{ publicKey: stranger, name: undefined, endpoint: undefined }])
  })

  it('writes addresses that were added, but no link-local one that the kernel made', () => {
    const saved = mergeLiveState(CONFIG, live([], ['10.0.0.1/24', '10.0.0.9/32', 'fe80::1/64']))
    expect(saved.interface.addresses).toEqual([prefix('10.0.0.1/24'), prefix('10.0.0.9/32')])
  })
})
