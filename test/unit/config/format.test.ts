import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/base/errors.js'
import { formatConfig, stripConfig } from '../../../src/config/format.js'
import { parseConfig } from '../../../src/config/parse.js'
import type { InterfaceConfig, PeerConfig, TunnelConfig } from '../../../src/config/types.js'
import { ipFromBytes } from '../../../src/net/ip.js'
import { addressBits, formatPrefix, maskPrefix, type Prefix } from '../../../src/net/prefix.js'
import {
  keyFromBytes,
  type PresharedKey,
  type PrivateKey,
  type PublicKey,
} from '../../../src/wireguard/keys.js'
import { FULL_FILE, sampleKey } from './samples.js'

const keyBytes = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => bytes.some((b) => b > 0))
const ip = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map((bytes) => ipFromBytes(bytes))
const prefix: fc.Arbitrary<Prefix> = ip.chain((address) =>
  fc.integer({ min: 0, max: addressBits(address) }).map((bits) => ({ address, bits })),
)
const hook = fc
  .string({ minLength: 1 })
  .filter((text) => /^[^\s#](.*[^\s])?$/.test(text) && !text.includes('#'))
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
const endpoint = fc.record({
  host: fc.constantFrom('example.org', '192.0.2.1', '2001:db8::1', 'fe80::1%eth0'),
  port: fc.integer({ min: 1, max: 65535 }),
})
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined })

const settings: fc.Arbitrary<InterfaceConfig> = fc.record({
  privateKey: optional(keyBytes.map((bytes) => keyFromBytes<PrivateKey>(bytes))),
  privateKeyFile: fc.constant(undefined),
  listenPort: optional(fc.integer({ min: 0, max: 65535 })),
  fwMark: fc.nat(0xffffffff),
  addresses: fc.uniqueArray(prefix, { selector: ({ address }) => address.bytes.join(), maxLength: 5 }),
  dns: fc.record({ servers: fc.array(ip), searchDomains: fc.array(fc.domain()) }),
  mtu: optional(fc.integer({ min: 68, max: 65535 })),
  table: fc.oneof(fc.constantFrom('auto' as const, 'off' as const), fc.integer({ min: 1, max: 0xffffffff })),
  preUp: fc.array(hook),
  postUp: fc.array(hook),
  preDown: fc.array(hook),
  postDown: fc.array(hook),
  saveConfig: fc.boolean(),
})

const peer: fc.Arbitrary<PeerConfig> = fc.record({
  name: optional(name),
  publicKey: keyBytes.map((bytes) => keyFromBytes<PublicKey>(bytes)),
  presharedKey: optional(keyBytes.map((bytes) => keyFromBytes<PresharedKey>(bytes))),
  allowedIps: fc.uniqueArray(prefix.map(maskPrefix), { selector: formatPrefix, maxLength: 5 }),
  endpoint: optional(endpoint),
  persistentKeepaliveS: fc.integer({ min: 0, max: 65535 }),
})

/** Drops what would make a file wrong: repeated keys and names, and prefixes of several peers. */
const config: fc.Arbitrary<TunnelConfig> = fc
  .record({ interface: settings, peers: fc.array(peer, { maxLength: 5 }) })
  .filter(({ peers }) => {
    const distinct = (texts: readonly string[]): boolean => new Set(texts).size === texts.length
    return (
      distinct(peers.map((p) => p.publicKey.join())) &&
      distinct(peers.flatMap((p) => p.name ?? [])) &&
      distinct(peers.flatMap((p) => p.allowedIps.map(formatPrefix)))
    )
  })

describe('a formatted tunnel file', () => {
  it('says what the values say', () => {
    fc.assert(
      fc.property(config, (value) => {
        expect(parseConfig(formatConfig(value), 'a')).toEqual(value)
      }),
    )
  })

  it('names the file of a private key instead of holding the key', () => {
    const read = parseConfig('[Interface]\nPrivateKeyFile = /etc/k\n', 'a')
    const loaded = {
      ...read,
      interface: { ...read.interface, privateKey: keyFromBytes<PrivateKey>(new Uint8Array(32).fill(1)) },
    }
    expect(formatConfig(loaded)).toBe('[Interface]\nPrivateKeyFile = /etc/k\n')
    expect(stripConfig(loaded)).toBe(`[Interface]\nPrivateKey = ${sampleKey(1)}\n`)
  })

  it('is stripped to what wg understands', () => {
    expect(stripConfig(parseConfig(FULL_FILE, 'a'))).toBe(
      [
        '[Interface]',
        `PrivateKey = ${sampleKey(1)}`,
        'ListenPort = 51820',
        'FwMark = 0xca6c',
        '',
        '[Peer]',
        `PublicKey = ${sampleKey(2)}`,
        `PresharedKey = ${sampleKey(3)}`,
        'AllowedIPs = 10.0.0.2/32, fd00::2/128, 10.2.0.0/16',
        'Endpoint = vpn.example.org:51821',
        'PersistentKeepalive = 25',
        '',
        '[Peer]',
        `PublicKey = ${sampleKey(4)}`,
        'Endpoint = [fe80::1%eth0]:1',
        '',
      ].join('\n'),
    )
  })
})

describe('the parser', () => {
  const word = fc.constantFrom(
    '[Interface]',
    '[Peer]',
    'MTU',
    'PublicKey',
    'AllowedIPs',
    'Address',
    '=',
    '#',
    '\n',
    ',',
  )
  const text = fc.array(fc.oneof(word, fc.string({ unit: 'binary', maxLength: 8 })), { maxLength: 60 })

  it('throws nothing but ConfigError on any text', () => {
    fc.assert(
      fc.property(text, (parts) => {
        try {
          parseConfig(parts.join(''), 'a', { needsPrivateKey: true })
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
