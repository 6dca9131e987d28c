import { describe, expect, it } from 'vitest'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import { keyFromBytes, type PublicKey } from '../../src/wireguard/keys.js'
import { hex } from '../support/hex.js'

/** Points of low order in all their encodings (cr.yp.to/ecdh.html), some with the ignored top bit set. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000080',
]

describe.each([nobleCrypto, nodeCrypto])('X25519 of $name', (crypto) => {
  function x25519(scalar: Uint8Array, u: Uint8Array): Uint8Array | undefined {
    return crypto.dhPrivateKey(scalar).sharedSecret(keyFromBytes<PublicKey>(u))
  }

  it('gives the results of RFC 7748 section 5.2', () => {
    const first = x25519(
      hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4'),
      hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c'),
    )
    expect(first).toEqual(hex('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552'))
    const second = x25519(
      hex('4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d'),
      hex('e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493'),
    )
    expect(second).toEqual(hex('95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957'))
  })

  it('gives the result of RFC 7748 section 5.2 after one round on its own output', () => {
    const u = hex('0900000000000000000000000000000000000000000000000000000000000000')
    expect(x25519(u, u)).toEqual(hex('422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079'))
  })

  it('agrees on the secret of RFC 7748 section 6.1', () => {
    const alice = crypto.dhPrivateKey(hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'))
    const bob = crypto.dhPrivateKey(hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'))
    expect(alice.publicKey).toEqual(hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'))
    expect(bob.publicKey).toEqual(hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'))
    const secret = hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742')
    expect(alice.sharedSecret(bob.publicKey)).toEqual(secret)
    expect(bob.sharedSecret(alice.publicKey)).toEqual(secret)
  })

  it.each(LOW_ORDER)('gives no secret with the low-order point %s', (point) => {
    const scalar = hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4')
    expect(x25519(scalar, hex(point))).toBeUndefined()
  })

  it('keeps the clamped scalar and forgets it when wiped', () => {
    const key = crypto.dhPrivateKey(new Uint8Array(32).fill(0xff))
    expect(key.bytes[0]).toBe(0xf8)
    expect(key.bytes[31]).toBe(0x7f)
    key.wipe()
    expect(key.bytes).toEqual(new Uint8Array(32))
    expect(key.sharedSecret(key.publicKey)).toBeUndefined()
  })
})

// Noble takes seconds for it, and is held to be equal in everything else.
it('X25519 of node gives the result of RFC 7748 section 5.2 after 1000 rounds on its own output', () => {
  let scalar = hex('0900000000000000000000000000000000000000000000000000000000000000')
  let u = scalar
  for (let round = 1; round <= 1000; round++) {
    const result = nodeCrypto.dhPrivateKey(scalar).sharedSecret(keyFromBytes<PublicKey>(u))
    u = scalar
    scalar = result ?? new Uint8Array()
  }
  expect(scalar).toEqual(hex('684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51'))
})
