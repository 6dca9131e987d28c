import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../src/base/bytes.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import { countingBytes, hex } from '../support/hex.js'
import { rfc8439Seal } from '../support/rfc8439.js'

const PROVIDERS = [nobleCrypto, nodeCrypto]
const SUNSCREEN = Uint8Array.from(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  (character) => character.charCodeAt(0),
)
const KEY = countingBytes(32, 0x80)
const ASSOCIATED_DATA = hex('50515253c0c1c2c3c4c5c6c7')

describe('the slow twin of ChaCha20-Poly1305', () => {
  it('gives the result of RFC 8439 section 2.8.2', () => {
    const nonce = hex('07000000 4041424344454647')
    expect(rfc8439Seal(KEY, nonce, SUNSCREEN, ASSOCIATED_DATA)).toEqual(
      hex(`d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6
           3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36
           92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
           3ff4def08e4b7a9de576d26586cec64b 6116
           1ae10b594f09e26a7e902ecbd0600691`),
    )
  })
})

describe.each(PROVIDERS)('ChaCha20-Poly1305 of $name', (crypto) => {
  it('gives the result of RFC 8439 appendix A.5, cut to what a counter nonce can say', () => {
    // The RFC's nonce is 4 zero bytes and the counter 0x0807060504030201, above 2^53: in place only.
    const key = hex('1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0')
    const plaintext = hex('496e7465726e65742d447261667473206172652064726166')
    const buffer = new Uint8Array(plaintext.length + 16)
    buffer.set(plaintext)
    crypto.aead(key).sealInPlace(buffer, 0, plaintext.length, 0x08070605, 0x04030201)
    expect(buffer.subarray(0, plaintext.length)).toEqual(
      hex('64a0861575861af460f062c79be643bd5e805cfd345cf389'),
    )
    expect(buffer).toEqual(rfc8439Seal(key, hex('00000000 0102030405060708'), plaintext, new Uint8Array()))
  })

  it('is that of the slow twin for every length around a block', () => {
    for (const length of [0, 1, 15, 16, 17, 32, 63, 64, 65, 127, 128, 129, 1420]) {
      const plaintext = countingBytes(length)
      const sealed = crypto.seal(KEY, 0x1_0000_0002, plaintext, ASSOCIATED_DATA)
      const nonce = hex('00000000 02000000 01000000')
      expect(sealed, `length ${length}`).toEqual(rfc8439Seal(KEY, nonce, plaintext, ASSOCIATED_DATA))
      expect(crypto.open(KEY, 0x1_0000_0002, sealed, ASSOCIATED_DATA)).toEqual(plaintext)
    }
  })
})

describe.each(PROVIDERS)('XChaCha20-Poly1305 of $name', (crypto) => {
  it('gives the result of draft-irtf-cfrg-xchacha appendix A.3.1', () => {
    const nonce = countingBytes(24, 0x40)
    const sealed = hex(`bd6d179d3e83d43b9576579493c0e939 572a1700252bfaccbed2902c21396cbb
                        731c7f1b0b4aa6440bf3a82f4eda7e39 ae64c6708c54c216cb96b72e1213b452
                        2f8c9ba40db5d945b11b69b982c1bb9e 3f3fac2bc369488f76b2383565d3fff9
                        21f9664c97637da9768812f615c68b13 b52e
                        c0875924c1c7987947deafd8780acf49`)
    expect(crypto.xseal(KEY, nonce, SUNSCREEN, ASSOCIATED_DATA)).toEqual(sealed)
    expect(crypto.xopen(KEY, nonce, sealed, ASSOCIATED_DATA)).toEqual(SUNSCREEN)
    expect(crypto.xopen(KEY, nonce, sealed, concatBytes(ASSOCIATED_DATA, KEY))).toBeUndefined()
  })
})
