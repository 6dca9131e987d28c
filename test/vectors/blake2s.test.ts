import { describe, expect, it } from 'vitest'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import { kdf1, kdf2, kdf3 } from '../../src/wireguard/kdf.js'
import { countingBytes, hex } from '../support/hex.js'

/**
 * Made with Python's hashlib and hmac, over the bytes 0, 1, 2 … and with the key 00 01 … 1f (for the
 * short mac its first half): length, BLAKE2s-256, mac with 32-byte key, mac with 16-byte key.
 */
const HASHES: readonly (readonly [number, string, string, string])[] = [
  [
    0,
    '69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9',
    '9536f9b267655743dee97b8a670f9f53',
    'af4e5d3bb230e9ff9096ca6f7c501f76',
  ],
  [
    1,
    'e34d74dbaf4ff4c6abd871cc220451d2ea2648846c7757fbaac82fe51ad64bea',
    '13bacfb85b48a1223c595f8c1e7e82cb',
    '881e42e7bb358082637c0a0fd7ec6c2f',
  ],
  [
    63,
    'e57cb79487dd57902432b250733813bd96a84efce59f650fac26e6696aefafc3',
    'ece382a8bd5018f1de5da44b72cea75b',
    '2151a1ac11ef2763a427614c612b3de0',
  ],
  [
    64,
    '56f34e8b96557e90c1f24b52d0c89d51086acf1b00f634cf1dde9233b8eaaa3e',
    'f1efa90d2547036841ecd3627fafbc36',
    'dd55c51c98f8ab96ed272882941f0b6a',
  ],
  [
    65,
    '1b53ee94aaf34e4b159d48de352c7f0661d0a40edff95a0b1639b4090e974472',
    '811ff8686d23a435ecbd0bdafcd27b1b',
    '9018c671bb7e94a6d540a91765bbecad',
  ],
  [
    148,
    '7db442e132ba59bc1289aa98b0d3e806004f8ec12811af1e2e33c69bfde729e1',
    '33bd6c20ca2a7ab916d6e98003c6c5f8',
    'ef7a818de8364e8d7cdd70d7fc1026bc',
  ],
]

/** HMAC-BLAKE2s from the same source and with the same key. */
const HMACS: readonly (readonly [number, string])[] = [
  [0, 'e2641d24dfa8dd89e8cb77f1cdc77d8c006e5bebdfc4d6a3a3a6f8d5b7586fb0'],
  [1, '3c657ea8362eeb115466cc90a81a36d2994b7153729c01f50a19be2ca3cce643'],
  [32, '8d2cc42fc1055ea43277dfd5d35d3863b228f9cc0c02007dc2afb20907bd7312'],
  [33, '3d83dfea00d3d4b8c054cd14ae63867405c8e182c4034db1b2268d716c4642c3'],
  [64, '3b35e945d05ac982850451ac8b6cdfffb98e56f50b95272fab665de081691056'],
  [65, 'e0bf9ad5f46ae7cb59268a338f24391ad8cc125148746599da55803c3d80c2e2'],
]

const KEY = countingBytes(32)

describe.each([nobleCrypto, nodeCrypto])('BLAKE2s of $name', (crypto) => {
  it('gives the result of RFC 7693 appendix B', () => {
    const abc = hex('616263')
    const digest = hex('508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982')
    expect(crypto.hash(abc)).toEqual(digest)
    expect(crypto.hash(hex('61'), hex(''), hex('6263'))).toEqual(digest)
  })

  it.each(HASHES)(
    'hashes %i bytes, without key and with keys of both lengths',
    (length, hash, mac, short) => {
      const input = countingBytes(length)
      expect(crypto.hash(input)).toEqual(hex(hash))
      expect(crypto.mac(KEY, input)).toEqual(hex(mac))
      expect(crypto.mac(KEY.subarray(0, 16), input)).toEqual(hex(short))
    },
  )

  it.each(HMACS)('authenticates %i bytes as HMAC', (length, hmac) => {
    expect(crypto.hmac(KEY, countingBytes(length))).toEqual(hex(hmac))
  })

  it('derives one, two and three keys', () => {
    const input = countingBytes(32, 100)
    const [first, second, third] = [
      'e3b7e038799447459d13f6cc03b71555c0b32ee93354ebe4526ec98bc53b20a4',
      'ca06d8e46b509266c7c0594805ffb9c256348a33c642381348f047e452d239e2',
      '5ee952936bec1473c13db1cc92b8d8ba5ad2df7c77f07478731d48aa5530a000',
    ].map(hex)
    expect(kdf1(crypto, KEY, input)).toEqual(first)
    expect(kdf2(crypto, KEY, input)).toEqual([first, second])
    expect(kdf3(crypto, KEY, input)).toEqual([first, second, third])
  })

  it('derives two keys from nothing but the chaining key', () => {
    expect(kdf2(crypto, KEY, new Uint8Array())).toEqual([
      hex('7a38c34bf2b8738d7374ca77c44ecb309a11d2b2528304fa86052c365e722624'),
      hex('1a17621f346abdc520746a9fb64d8eb03231d674fc15687537b0780fd9c060fd'),
    ])
  })
})
