import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { equalBytes, isZero } from '../../../src/base/bytes.js'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { keyFromBytes, type PublicKey } from '../../../src/wireguard/keys.js'
import { seededRandom } from '../../support/seeded-random.js'

const PROVIDERS = [nobleCrypto, nodeCrypto]
const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })
const upTo = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: length })
const OPTIONS = { seed: 7748 }

describe('both providers', () => {
  it('seal every length from 0 to 1500 alike, in place too, and open what the other sealed', () => {
    const random = seededRandom(1500)
    const key = random(32)
    const [noble, node] = [nobleCrypto.aead(key), nodeCrypto.aead(key)]
    for (let length = 0; length <= 1500; length++) {
      const plaintext = random(length)
      const sealed = nobleCrypto.seal(key, length, plaintext, new Uint8Array())
      const buffer = new Uint8Array(length + 24)
      buffer.set(plaintext, 3)
      node.sealInPlace(buffer, 3, length, 0, length)
      const nodeSealed = buffer.slice(3, length + 19)
      const nobleOpens = noble.openInPlace(buffer, 3, length + 16, 0, length)
      const nobleOpened = buffer.slice(3, length + 3)
      noble.sealInPlace(buffer, 3, length, 0, length)
      const nobleSealed = buffer.slice(3, length + 19)
      const nodeOpens = node.openInPlace(buffer, 3, length + 16, 0, length)
      const nodeOpened = buffer.slice(3, length + 3)
      expect([nobleOpens, nodeOpens], `length ${length}`).toEqual([true, true])
      const seals = [nodeCrypto.seal(key, length, plaintext, new Uint8Array()), nodeSealed, nobleSealed]
      const areEqual = seals.map((other) => equalBytes(other, sealed))
      areEqual.push(equalBytes(nobleOpened, plaintext), equalBytes(nodeOpened, plaintext))
      areEqual.push(isZero(buffer.subarray(0, 3)), isZero(buffer.subarray(length + 19)))
      expect(areEqual, `length ${length}`).not.toContain(false)
    }
  })

  it('seal with associated data and any counter alike', () => {
    const counter = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
    const sealing = fc.property(bytes(32), counter, upTo(200), upTo(100), (key, count, plaintext, ad) => {
      const sealed = nobleCrypto.seal(key, count, plaintext, ad)
      expect(nodeCrypto.seal(key, count, plaintext, ad)).toEqual(sealed)
      expect(nodeCrypto.open(key, count, sealed, ad)).toEqual(plaintext)
    })
    fc.assert(sealing, OPTIONS)
  })

  it('take both halves of the counter into the nonce', () => {
    const key = new Uint8Array(32)
    const halves = fc.property(fc.nat(), fc.nat({ max: 2 ** 21 - 1 }), (low, high) => {
      const expected = nobleCrypto.seal(key, high * 2 ** 32 + low, new Uint8Array(5), new Uint8Array())
      for (const crypto of PROVIDERS) {
        const buffer = new Uint8Array(21)
        crypto.aead(key).sealInPlace(buffer, 0, 5, high, low)
        expect(buffer).toEqual(expected)
      }
    })
    fc.assert(halves, { ...OPTIONS, numRuns: 50 })
  })

  it('hash and authenticate alike', () => {
    const hashing = fc.property(bytes(32), upTo(300), upTo(80), (key, input, more) => {
      expect(nodeCrypto.hash(input, more)).toEqual(nobleCrypto.hash(input, more))
      expect(nodeCrypto.hmac(key, input)).toEqual(nobleCrypto.hmac(key, input))
    })
    fc.assert(hashing, OPTIONS)
  })

  it('agree on public keys and shared secrets for any 32 bytes', () => {
    const agreeing = fc.property(bytes(32), bytes(32), (scalar, point) => {
      const remote = keyFromBytes<PublicKey>(point)
      const [noble, node] = [nobleCrypto.dhPrivateKey(scalar), nodeCrypto.dhPrivateKey(scalar)]
      expect(node.publicKey).toEqual(noble.publicKey)
      expect(node.bytes).toEqual(noble.bytes)
      expect(node.sharedSecret(remote)).toEqual(noble.sharedSecret(remote))
    })
    fc.assert(agreeing, { ...OPTIONS, numRuns: 30 })
  })

  it('agree on points that are not reduced', () => {
    for (let low = 0xed; low <= 0xff; low++) {
      const point = keyFromBytes<PublicKey>(Uint8Array.of(low, ...new Array<number>(30).fill(0xff), 0x7f))
      const scalar = new Uint8Array(32).fill(0x55)
      const secret = nobleCrypto.dhPrivateKey(scalar).sharedSecret(point)
      expect(nodeCrypto.dhPrivateKey(scalar).sharedSecret(point), `last byte ${low}`).toEqual(secret)
    }
  })
})

describe.each(PROVIDERS)('the $name provider', (crypto) => {
  const key = seededRandom(1)(32)

  it('refuses every sealed message with one bit flipped', () => {
    const plaintext = seededRandom(2)(20)
    const associatedData = seededRandom(3)(4)
    const sealed = crypto.seal(key, 5, plaintext, associatedData)
    const inPlace = crypto.seal(key, 5, plaintext, new Uint8Array())
    const nonce = seededRandom(4)(24)
    const extended = crypto.xseal(key, nonce, plaintext, associatedData)
    for (let bit = 0; bit < 8 * sealed.length; bit++) {
      expect(crypto.open(key, 5, flip(sealed, bit), associatedData)).toBeUndefined()
      expect(crypto.xopen(key, nonce, flip(extended, bit), associatedData)).toBeUndefined()
      expect(crypto.aead(key).openInPlace(flip(inPlace, bit), 0, inPlace.length, 0, 5)).toBe(false)
    }
    expect(crypto.open(key, 6, sealed, associatedData)).toBeUndefined()
    expect(crypto.open(key, 5, sealed, new Uint8Array())).toBeUndefined()
  })

  it('refuses what is shorter than a tag', () => {
    for (let length = 0; length < 16; length++) {
      const sealed = new Uint8Array(length)
      expect(crypto.open(key, 0, sealed, new Uint8Array())).toBeUndefined()
      expect(crypto.xopen(key, new Uint8Array(24), sealed, new Uint8Array())).toBeUndefined()
      expect(crypto.aead(key).openInPlace(sealed, 0, length, 0, 0)).toBe(false)
    }
  })

  it('keeps its own copy of a data key until it is wiped', () => {
    const ownKey = new Uint8Array(key)
    const aead = crypto.aead(ownKey)
    ownKey.fill(0)
    const before = new Uint8Array(20)
    aead.sealInPlace(before, 0, 4, 0, 0)
    expect(before).toEqual(crypto.seal(key, 0, new Uint8Array(4), new Uint8Array()))
    aead.wipe()
    const after = new Uint8Array(20)
    aead.sealInPlace(after, 0, 4, 0, 0)
    expect(after).toEqual(crypto.seal(new Uint8Array(32), 0, new Uint8Array(4), new Uint8Array()))
  })

  it('gives plain byte arrays, whose slices are copies', () => {
    const results = [crypto.hash(key), crypto.hmac(key, key), crypto.mac(key, key)]
    const dh = crypto.dhPrivateKey(key)
    results.push(dh.publicKey, dh.sharedSecret(dh.publicKey) ?? Buffer.alloc(0))
    const sealed = crypto.seal(key, 0, key, key)
    results.push(sealed, crypto.open(key, 0, sealed, key) ?? Buffer.alloc(0))
    for (const result of results) expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype)
  })
})

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = new Uint8Array(bytes)
  flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
  return flipped
}
