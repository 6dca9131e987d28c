import { describe, expect, it } from 'vitest'
import { equalBytes, formatBase64 } from '../../../src/base/bytes.js'
import { addressOf, networkPrefix4, networkPrefix6 } from '../../../src/control/addresses.js'
import {
  identityFromSeed,
  isSignedBy,
  sessionKeyOf,
  tryParseIdentity,
} from '../../../src/control/identity.js'
import { createTicket, tryOpenTicket } from '../../../src/control/ticket.js'
import { signTunnelKey, verifyTunnelKey } from '../../../src/control/tunnel-key.js'
import { formatIp } from '../../../src/net/ip.js'
import { formatPrefix, prefixContains } from '../../../src/net/prefix.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { keyFromBytes, type PublicKey } from '../../../src/wireguard/keys.js'
import { countingBytes, hex } from '../../support/hex.js'

const ALICE = identityFromSeed(countingBytes(32, 1))
const BOB = identityFromSeed(countingBytes(32, 2))
const KEY = keyFromBytes<PublicKey>(countingBytes(32, 77))
const SPAN = { number: 1, notBefore: 1_700_000_000, notAfter: 1_707_776_000 }
const DURING = 1_701_000_000_000

describe('an identity', () => {
  it('is the key of RFC 8032 section 7.1, test 1', () => {
    const seed = hex('9d61b19deffd5a60ba844af492ec2cc4 4449c5697b326919703bac031cae7f60')
    const key = hex('d75a980182b10ab7d54bfed3c964073a 0ee172f3daa62325af021a68f707511a')
    expect(identityFromSeed(seed).publicKey).toEqual(key)
    expect(tryParseIdentity(identityFromSeed(seed).text)).toEqual(key)
  })

  it('is a session key too, whose public half anybody can tell', () => {
    for (const crypto of [nobleCrypto, nodeCrypto]) {
      const own = ALICE.sessionKey(crypto)
      expect(sessionKeyOf(ALICE.publicKey)).toEqual(own.publicKey)
      expect(own.sharedSecret(BOB.sessionKey(crypto).publicKey)).toEqual(
        BOB.sessionKey(crypto).sharedSecret(own.publicKey),
      )
    }
    expect(sessionKeyOf(new Uint8Array(31))).toBeUndefined()
    expect(sessionKeyOf(new Uint8Array(32).fill(0xff))).toBeUndefined()
  })

  it('signs under a label, for that label and those bytes only', () => {
    const signature = ALICE.sign('a', Uint8Array.of(1, 2))
    expect(isSignedBy(ALICE.publicKey, signature, 'a', Uint8Array.of(1), Uint8Array.of(2))).toBe(true)
    expect(isSignedBy(ALICE.publicKey, signature, 'b', Uint8Array.of(1, 2))).toBe(false)
    expect(isSignedBy(ALICE.publicKey, signature, 'a', Uint8Array.of(1, 3))).toBe(false)
    expect(isSignedBy(BOB.publicKey, signature, 'a', Uint8Array.of(1, 2))).toBe(false)
  })

  it('takes keys and signatures that are none for false', () => {
    const signature = ALICE.sign('a')
    expect(isSignedBy(new Uint8Array(31), signature, 'a')).toBe(false)
    expect(isSignedBy(new Uint8Array(32).fill(0xff), signature, 'a')).toBe(false)
    expect(isSignedBy(ALICE.publicKey, signature.subarray(1), 'a')).toBe(false)
    expect(tryParseIdentity(formatBase64(new Uint8Array(31)))).toBeUndefined()
    expect(tryParseIdentity('?')).toBeUndefined()
  })
})

describe('a signed tunnel key', () => {
  const signed = signTunnelKey(ALICE, KEY, SPAN)

  it('is believed of its identity, within its span', () => {
    expect(verifyTunnelKey(ALICE.publicKey, signed, DURING)).toEqual({ key: KEY })
    expect(verifyTunnelKey(BOB.publicKey, signed, DURING)).toEqual({
      fault: 'its tunnel key is not signed by its identity',
    })
    expect(verifyTunnelKey(ALICE.publicKey, signed, 1000 * (SPAN.notAfter + 90_000))).toEqual({
      fault: 'its tunnel key has expired',
    })
    expect(verifyTunnelKey(ALICE.publicKey, signed, 1000 * (SPAN.notBefore - 90_000))).toEqual({
      fault: 'its tunnel key is not valid yet',
    })
  })

  it('cannot be given another key, or a longer life', () => {
    const key = formatBase64(countingBytes(32, 9))
    const not = { fault: 'its tunnel key is not signed by its identity' }
    expect(verifyTunnelKey(ALICE.publicKey, { ...signed, key }, DURING)).toEqual(not)
    const notAfter = SPAN.notAfter + 1
    expect(verifyTunnelKey(ALICE.publicKey, { ...signed, notAfter }, DURING)).toEqual(not)
    expect(verifyTunnelKey(ALICE.publicKey, { ...signed, key: '' }, DURING)).toEqual({
      fault: 'its tunnel key is malformed',
    })
  })
})

describe('a ticket', () => {
  const terms = { issuedAtS: 1_800_000_000, epoch: 1_800_000_000_123 }
  const ticket = createTicket(ALICE, BOB.publicKey, terms)

  it('tells when it was issued to whom it names, and to nobody else', () => {
    expect(tryOpenTicket(ALICE.publicKey, ticket, BOB.publicKey)).toEqual(terms)
    expect(tryOpenTicket(ALICE.publicKey, ticket, ALICE.publicKey)).toBeUndefined()
    expect(tryOpenTicket(BOB.publicKey, ticket, BOB.publicKey)).toBeUndefined()
  })

  it('is nothing once a byte is another', () => {
    for (let i = 0; i < ticket.length; i++) {
      const damaged = ticket.slice()
      damaged[i] = (damaged[i] as number) ^ 1
      expect(tryOpenTicket(ALICE.publicKey, damaged, BOB.publicKey)).toBeUndefined()
    }
    expect(tryOpenTicket(ALICE.publicKey, ticket.subarray(1), BOB.publicKey)).toBeUndefined()
  })
})

describe('addresses', () => {
  const prefix = networkPrefix6(countingBytes(5, 0xa0))

  it('of a network are in the ranges set aside for it', () => {
    expect(formatPrefix(prefix)).toBe('fda0:a1a2:a3a4::/48')
    expect(formatPrefix(networkPrefix4(200))).toBe('100.72.0.0/16')
  })

  it('of nodes follow from identity and network, and from nothing else', () => {
    const alice = addressOf(nobleCrypto, prefix, ALICE.publicKey)
    expect(prefixContains(prefix, alice)).toBe(true)
    expect(formatIp(addressOf(nobleCrypto, prefix, ALICE.publicKey))).toBe(formatIp(alice))
    const other = addressOf(nobleCrypto, networkPrefix6(countingBytes(5)), ALICE.publicKey)
    expect(equalBytes(other.bytes.subarray(6), alice.bytes.subarray(6))).toBe(true)
    expect(formatIp(addressOf(nobleCrypto, prefix, BOB.publicKey))).not.toBe(formatIp(alice))
  })
})
