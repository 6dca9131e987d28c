import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatUapiErrno, formatUapiState } from '../../../src/config/uapi-answer.js'
import { UAPI_MAX_LINE_BYTES, type UapiRequest, UapiRequestParser } from '../../../src/config/uapi-request.js'
import { formatEndpoint } from '../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../src/net/ip.js'
import { formatPrefix } from '../../../src/net/prefix.js'
import type { DeviceUpdate, PeerSnapshot, PeerUpdate } from '../../../src/wireguard/configuration.js'
import {
  keyFromBytes,
  type PresharedKey,
  type PrivateKey,
  type PublicKey,
} from '../../../src/wireguard/keys.js'

const hex = (byte: number): string => byte.toString(16).padStart(2, '0').repeat(32)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const scopeIdOf = (zone: string): number | undefined => (zone === 'eth0' ? 7 : undefined)

function requestsOf(text: string, chunkBytes = 1 << 20): UapiRequest[] {
  const parser = new UapiRequestParser(scopeIdOf)
  const all = bytes(text)
  const requests: UapiRequest[] = []
  for (let at = 0; at < all.length; at += chunkBytes) {
    requests.push(...parser.push(all.subarray(at, at + chunkBytes)))
  }
  return requests
}

function updateOf(lines: string): DeviceUpdate {
  const [request, ...more] = requestsOf(`set=1\n${lines}\n`)
  expect(more).toEqual([])
  if (request?.kind !== 'set') throw new Error(`no set request: ${JSON.stringify(request)}`)
  return request.update
}

function peerOf(lines: string): PeerUpdate {
  const [peer, ...more] = updateOf(`public_key=${hex(2)}\n${lines}`).peers
  expect(more).toEqual([])
  if (peer === undefined) throw new Error('no peer')
  return peer
}

describe('a set request', () => {
  it('sets the device', () => {
    const update = updateOf(
      `private_key=${hex(1)}\nlisten_port=51820\nfwmark=4294967295\nreplace_peers=true\n`,
    )
    expect(update).toMatchObject({ listenPort: 51820, fwmark: 0xffffffff, replacePeers: true, peers: [] })
    expect(update.privateKey?.[0]).toBe(1)
  })

  it('removes keys that are all zero', () => {
    expect(updateOf(`private_key=${hex(0)}\n`).privateKey).toBeNull()
    expect(peerOf(`preshared_key=${hex(0)}\n`).presharedKey).toBeNull()
  })

  it('leaves alone what it does not mention', () => {
    expect(updateOf('')).toEqual({ peers: [] })
    expect(Object.keys(peerOf('protocol_version=1\n'))).toEqual(['publicKey', 'allowedIps'])
  })

  it('sets peers, each up to the next public key', () => {
    const { peers } = updateOf(
      `public_key=${hex(2)}\npreshared_key=${hex(3)}\npersistent_keepalive_interval=25\n` +
        `public_key=${hex(4).toUpperCase()}\nupdate_only=true\n`,
    )
    expect(peers.map((peer) => peer.publicKey[0])).toEqual([2, 4])
    expect(peers[0]?.presharedKey?.[0]).toBe(3)
    expect(peers[0]?.persistentKeepaliveS).toBe(25)
    expect(peers[1]).toMatchObject({ updateOnly: true })
  })

  it('removes a peer, whatever else it says of it', () => {
    const peer = peerOf('remove=true\nallowed_ip=10.0.0.0/8\n')
    expect(peer).toEqual({ publicKey: peer.publicKey, remove: true, allowedIps: [] })
  })

  it.each([
    ['192.0.2.1:1', '192.0.2.1:1'],
    ['192.0.2.1:0', '192.0.2.1:0'],
    ['[2001:DB8::1]:65535', '[2001:db8::1]:65535'],
    ['[fe80::1%3]:51820', '[fe80::1%3]:51820'],
    ['[fe80::1%eth0]:51820', '[fe80::1%7]:51820'],
  ])('understands the endpoint %s', (text, expected) => {
    const { endpoint } = peerOf(`endpoint=${text}\n`)
    expect(endpoint === undefined ? undefined : formatEndpoint(endpoint)).toBe(expected)
  })

  it('adds and takes allowed IPs in order, masked', () => {
    const { allowedIps, replaceAllowedIps } = peerOf(
      'allowed_ip=1.0.0.0/8\nreplace_allowed_ips=true\nallowed_ip=10.1.2.3/8\nallowed_ip=-fd00::1/64\n',
    )
    expect(replaceAllowedIps).toBe(true)
    expect(allowedIps.map(({ prefix, remove }) => [formatPrefix(prefix), remove])).toEqual([
      ['10.0.0.0/8', undefined],
      ['fd00::/64', true],
    ])
  })

  it.each([
    'private_key=00',
    `private_key=${hex(1)}00`,
    `private_key=${'zz'.repeat(32)}`,
    'listen_port=65536',
    'listen_port=-1',
    'listen_port=',
    'fwmark=0x10',
    'fwmark=4294967296',
    'replace_peers=false',
    'remove=true',
    'nonsense=1',
    'constructor=1',
    'public_key=1',
    ...[
      'remove=1',
      'update_only=yes',
      'preshared_key=1',
      'endpoint=example.org:1',
      'endpoint=192.0.2.1:65536',
      'endpoint=192.0.2.1',
      'endpoint=[192.0.2.1]:1',
      'endpoint=[fe80::1%nope]:1',
      'endpoint=2001:db8::1:1',
      'persistent_keepalive_interval=65536',
      'persistent_keepalive_interval=off',
      'replace_allowed_ips=1',
      'allowed_ip=10.0.0.0/33',
      'allowed_ip=--10.0.0.0/8',
      'protocol_version=2',
      'listen_port=1',
    ].map((line) => `public_key=${hex(2)}\n${line}`),
  ])('is refused whole for %j, and the next request is read', (line) => {
    const requests = requestsOf(`set=1\n${line}\nfwmark=2\n\nget=1\n\n`)
    expect(requests).toMatchObject([
      { kind: 'invalid', operation: 'set', errno: 22, isFatal: false },
      { kind: 'get' },
    ])
    expect(JSON.stringify(requests[0])).not.toContain('zz')
  })

  it('bounds the peers of one request', () => {
    const push = (peers: number): UapiRequest[] =>
      new UapiRequestParser(scopeIdOf, { bytes: 1000, peers: 3 }).push(
        bytes(`set=1\n${`public_key=${hex(2)}\n`.repeat(peers)}\n`),
      )
    expect(push(3)).toMatchObject([{ kind: 'set' }])
    expect(push(4)).toMatchObject([{ kind: 'invalid', reason: 'too many peers', isFatal: false }])
  })
})

describe('a connection', () => {
  const text = `get=1\n\nset=1\nlisten_port=5\npublic_key=${hex(2)}\n\nset=1\nx\n\nboo\n\nget=1\na=b\n\nget=1\n\n`

  it('carries many requests, whatever the chunks', () => {
    const whole = requestsOf(text)
    expect(whole).toMatchObject([
      { kind: 'get' },
      { kind: 'set', update: { listenPort: 5 } },
      { kind: 'invalid', operation: 'set', errno: 71 },
      { kind: 'invalid', operation: 'set', errno: 71, reason: 'unknown operation' },
      { kind: 'invalid', operation: 'get', errno: 22 },
      { kind: 'get' },
    ])
    for (const chunkBytes of [1, 2, 3, 7, 64]) expect(requestsOf(text, chunkBytes)).toEqual(whole)
  })

  it.each([1, 4096, 1 << 20])('ends at a line that is too long, in chunks of %i', (chunkBytes) => {
    const requests = requestsOf(
      `get=1\n\nset=1\n${'x'.repeat(UAPI_MAX_LINE_BYTES + 1)}\n\nget=1\n\n`,
      chunkBytes,
    )
    expect(requests).toMatchObject([{ kind: 'get' }, { kind: 'invalid', errno: 27, isFatal: true }])
  })

  it('ends at a request that is too long', () => {
    const parser = new UapiRequestParser(scopeIdOf, { bytes: 100, peers: 1 })
    const requests = parser.push(bytes(`get=1\n\nset=1\n${'fwmark=1\n'.repeat(20)}\nget=1\n\n`))
    expect(requests).toMatchObject([{ kind: 'get' }, { kind: 'invalid', errno: 27, isFatal: true }])
    expect(parser.push(bytes('get=1\n\n'))).toEqual([])
  })

  it('throws at no bytes in no chunking', () => {
    const line = fc.constantFrom(
      'get=1',
      'set=1',
      '',
      `public_key=${hex(2)}`,
      'allowed_ip=',
      'endpoint=[',
      '=',
    )
    const piece = fc.oneof(
      line.map((word) => bytes(`${word}\n`)),
      fc.uint8Array({ maxLength: 20 }),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const parser = new UapiRequestParser(scopeIdOf)
        for (const chunk of pieces) {
          for (const request of parser.push(chunk)) {
            expect(['get', 'set', 'invalid']).toContain(request.kind)
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('an answer', () => {
  const peer: PeerSnapshot = {
    publicKey: keyFromBytes<PublicKey>(new Uint8Array(32).fill(2)),
    presharedKey: keyFromBytes<PresharedKey>(new Uint8Array(32).fill(3)),
    endpoint: { address: ipFromBytes(Uint8Array.of(192, 0, 2, 1)), port: 51821, scopeId: 0 },
    isManaged: false,
    persistentKeepaliveS: 25,
    allowedIps: [{ address: ipFromBytes(Uint8Array.of(10, 0, 0, 0)), bits: 8 }],
    lastHandshakeWallMs: 1_700_000_000_250.5,
    lastHandshakeMs: 1,
    rxBytes: 9_007_199_254_740_991,
    txBytes: 148,
    state: 'connected',
    clockBehindS: 0,
  }

  it('to get holds the state in the documented order', () => {
    const privateKey = keyFromBytes<PrivateKey>(new Uint8Array(32).fill(1))
    const state = { privateKey, publicKey: undefined, listenPort: 51820, fwmark: 7, peers: [peer] }
    expect(formatUapiState(state)).toBe(
      `private_key=${hex(1)}\nlisten_port=51820\nfwmark=7\n` +
        `public_key=${hex(2)}\npreshared_key=${hex(3)}\nprotocol_version=1\nendpoint=192.0.2.1:51821\n` +
        'last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=250500000\n' +
        'tx_bytes=148\nrx_bytes=9007199254740991\npersistent_keepalive_interval=25\n' +
        'allowed_ip=10.0.0.0/8\nerrno=0\n\n',
    )
  })

  it('to get leaves out what is not set', () => {
    const empty = { privateKey: undefined, publicKey: undefined, listenPort: 0, fwmark: 0, peers: [] }
    expect(formatUapiState(empty)).toBe('errno=0\n\n')
    const bare = {
      ...peer,
      presharedKey: undefined,
      endpoint: undefined,
      allowedIps: [],
      lastHandshakeWallMs: 0,
    }
    const text = formatUapiState({ ...empty, peers: [bare] })
    expect(text).toContain(`preshared_key=${hex(0)}\n`)
    expect(text).toContain('last_handshake_time_sec=0\nlast_handshake_time_nsec=0\n')
    expect(text).not.toContain('endpoint')
  })

  it('tells an errno with the sign that wg expects of each operation', () => {
    expect(formatUapiErrno('set', 0)).toBe('errno=0\n\n')
    expect(formatUapiErrno('set', 22)).toBe('errno=-22\n\n')
    expect(formatUapiErrno('get', 5)).toBe('errno=5\n\n')
  })
})
