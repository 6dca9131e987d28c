import { describe, expect, it } from 'vitest'
import type { Endpoint } from '../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../src/net/ip.js'
import { COOKIE_MAX_AGE_MS, COOKIE_SECRET_MAX_AGE_MS } from '../../../src/wireguard/constants.js'
import { CookieChecker, CookieJar } from '../../../src/wireguard/cookie.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { type CookieReply, decodeCookieReply } from '../../../src/wireguard/messages.js'
import { expectDefined } from '../../support/handshake-pair.js'
import { countingBytes, hex } from '../../support/hex.js'
import { seededRandom } from '../../support/seeded-random.js'

const NOW_MS = 1_000_000
const SOURCE: Endpoint = { address: ipFromBytes(hex('c0000201')), port: 51820, scopeId: 0 }
const SOURCE_V6: Endpoint = {
  address: ipFromBytes(hex('20010db8000000000000000000000001')),
  port: 258,
  scopeId: 0,
}
const KEY = nodeCrypto.dhPrivateKey(seededRandom(1)(32)).publicKey

function setup(): { checker: CookieChecker; jar: CookieJar; message: Uint8Array } {
  return {
    checker: new CookieChecker(nodeCrypto, seededRandom(2), KEY),
    jar: new CookieJar(nodeCrypto, KEY),
    message: countingBytes(148),
  }
}

function replyTo(checker: CookieChecker, message: Uint8Array, source: Endpoint, nowMs: number): CookieReply {
  return expectDefined(decodeCookieReply(checker.createCookieReply(message, source, nowMs)))
}

describe('mac1', () => {
  it('is valid for the owner of the key and for nobody else', () => {
    const { checker, jar, message } = setup()
    jar.stamp(message, NOW_MS)
    expect(checker.isMac1Valid(message)).toBe(true)
    const otherKey = nodeCrypto.dhPrivateKey(seededRandom(9)(32)).publicKey
    expect(new CookieChecker(nodeCrypto, seededRandom(2), otherKey).isMac1Valid(message)).toBe(false)
  })

  it('covers all before it and itself, but not mac2', () => {
    const { checker, jar, message } = setup()
    jar.stamp(message, NOW_MS)
    for (let at = 0; at < message.length; at++) {
      const changed = new Uint8Array(message)
      changed[at] = (changed[at] as number) ^ 0x80
      expect(checker.isMac1Valid(changed), `byte ${at}`).toBe(at >= 132)
    }
  })

  it('is not valid in anything too short to hold it', () => {
    const { checker } = setup()
    for (let length = 0; length < 32; length++) {
      expect(checker.isMac1Valid(new Uint8Array(length))).toBe(false)
      expect(checker.isMac2Valid(new Uint8Array(length), SOURCE, NOW_MS)).toBe(false)
    }
  })
})

describe('mac2', () => {
  it('is zero and not valid without a cookie', () => {
    const { checker, jar, message } = setup()
    jar.stamp(message, NOW_MS)
    expect(message.subarray(132)).toEqual(new Uint8Array(16))
    expect(checker.isMac2Valid(message, SOURCE, NOW_MS)).toBe(false)
  })

  it.each([SOURCE, SOURCE_V6])('is valid with the cookie for the source that it was given to', (source) => {
    const { checker, jar, message } = setup()
    jar.stamp(message, NOW_MS)
    expect(jar.consumeCookieReply(replyTo(checker, message, source, NOW_MS), NOW_MS)).toBe(true)
    jar.stamp(message, NOW_MS)
    expect(checker.isMac1Valid(message)).toBe(true)
    expect(checker.isMac2Valid(message, source, NOW_MS)).toBe(true)
    expect(checker.isMac2Valid(message, { ...source, port: source.port ^ 0x100 }, NOW_MS)).toBe(false)
    expect(checker.isMac2Valid(message, { ...source, port: source.port ^ 1 }, NOW_MS)).toBe(false)
    const bytes = new Uint8Array(source.address.bytes)
    bytes[3] = (bytes[3] as number) ^ 1
    expect(checker.isMac2Valid(message, { ...source, address: ipFromBytes(bytes) }, NOW_MS)).toBe(false)
    message[0] = (message[0] as number) ^ 1
    expect(checker.isMac2Valid(message, source, NOW_MS)).toBe(false)
  })

  it('is zero again when the cookie is two minutes old', () => {
    const { checker, jar, message } = setup()
    jar.stamp(message, NOW_MS)
    jar.consumeCookieReply(replyTo(checker, message, SOURCE, NOW_MS), NOW_MS)
    jar.stamp(message, NOW_MS + COOKIE_MAX_AGE_MS - 1)
    expect(message.subarray(132)).not.toEqual(new Uint8Array(16))
    jar.stamp(message, NOW_MS + COOKIE_MAX_AGE_MS)
    expect(message.subarray(132)).toEqual(new Uint8Array(16))
  })

  it('is not valid any more when the secret behind the cookie has run out', () => {
    const { checker, jar, message } = setup()
    jar.stamp(message, NOW_MS)
    jar.consumeCookieReply(replyTo(checker, message, SOURCE, NOW_MS), NOW_MS)
    jar.stamp(message, NOW_MS)
    const endMs = NOW_MS + COOKIE_SECRET_MAX_AGE_MS
    expect(checker.isMac2Valid(message, SOURCE, endMs - 1)).toBe(true)
    expect(checker.isMac2Valid(message, SOURCE, endMs)).toBe(false)
    checker.createCookieReply(message, SOURCE, endMs)
    expect(checker.isMac2Valid(message, SOURCE, endMs)).toBe(false)
  })
})

describe('a cookie reply', () => {
  it.each([
    // Made with Python: blake2s(address + port, key=00 01 … 1f, digest_size=16)
    [SOURCE, 51820, 'b1db5839f9fd47f550c7fb7ecc003ab7'],
    [SOURCE_V6, 258, 'd4497035b2949f302479d785c0d13f7d'],
  ])('holds Mac(secret, address and port), sealed with mac1 as associated data', (source, port, cookie) => {
    const checker = new CookieChecker(nodeCrypto, countingBytes, KEY)
    const message = countingBytes(148)
    const reply = replyTo(checker, message, { ...source, port }, NOW_MS)
    const label = hex('636f6f6b69652d2d')
    const key = nodeCrypto.hash(label, KEY)
    const mac1 = message.subarray(116, 132)
    expect(reply.nonce).toEqual(countingBytes(24))
    expect(nodeCrypto.xopen(key, reply.nonce, reply.sealedCookie, mac1)).toEqual(hex(cookie))
  })

  it('goes to the sender index of the message it answers', () => {
    const { checker, message } = setup()
    expect(replyTo(checker, message, SOURCE, NOW_MS).receiverIndex).toBe(0x07060504)
  })

  it('is taken once, and only for the last message stamped', () => {
    const { checker, jar, message } = setup()
    jar.stamp(message, NOW_MS)
    const old = replyTo(checker, message, SOURCE, NOW_MS)
    message[10] = 0
    jar.stamp(message, NOW_MS)
    const reply = replyTo(checker, message, SOURCE, NOW_MS)
    expect(jar.consumeCookieReply(old, NOW_MS)).toBe(false)
    expect(jar.consumeCookieReply(reply, NOW_MS)).toBe(true)
    expect(jar.consumeCookieReply(reply, NOW_MS)).toBe(false)
  })

  it('is refused before anything was sent', () => {
    const { checker, jar, message } = setup()
    expect(jar.consumeCookieReply(replyTo(checker, message, SOURCE, NOW_MS), NOW_MS)).toBe(false)
  })

  it('with any bit of nonce or cookie flipped is refused and leaves the jar as it was', () => {
    const { checker, jar, message } = setup()
    jar.stamp(message, NOW_MS)
    const reply = replyTo(checker, message, SOURCE, NOW_MS)
    for (const field of [reply.nonce, reply.sealedCookie]) {
      for (let bit = 0; bit < 8 * field.length; bit++) {
        field[bit >> 3] = (field[bit >> 3] as number) ^ (1 << (bit & 7))
        expect(jar.consumeCookieReply(reply, NOW_MS)).toBe(false)
        field[bit >> 3] = (field[bit >> 3] as number) ^ (1 << (bit & 7))
      }
    }
    jar.stamp(message, NOW_MS)
    expect(message.subarray(132)).toEqual(new Uint8Array(16))
    expect(jar.consumeCookieReply(reply, NOW_MS)).toBe(true)
  })
})
