/** The known handshake, byte by byte. wireshark.test.ts proves that these are the right bytes. */

import { describe, expect, it } from 'vitest'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import { hex } from '../support/hex.js'
import { runKnownHandshake } from './known-handshake.js'

describe.each([nobleCrypto, nodeCrypto])('the known handshake with $name', (crypto) => {
  const known = runKnownHandshake(crypto)

  it('has this initiation: type, sender, ephemeral, static, timestamp, mac1, mac2', () => {
    expect(known.initiation).toEqual(
      hex(`01000000
           44332211
           64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466
           158a0e4ca242d151ca97ab90159a98b67e616625e68b4065d357376b6598e644
           ad7d678c0295d22de4cb43d5135581ed
           36346bfa7cf42a122139f8939935ec574414e91f3b457e447709b4db
           0277480586ab0a99b2d78cf74bf0acad
           00000000000000000000000000000000`),
    )
  })

  it('has this response: type, sender, receiver, ephemeral, nothing, mac1, mac2', () => {
    expect(known.response).toEqual(
      hex(`02000000
           ddccbbaa
           44332211
           244fe3b963e899dd295baffce248d3530f3a9a7479ba063002680ebfe7adad49
           9b0e14cc4fa68f26cc4f920db2f1800e
           18523709122ac324bc9b9110de7d05f2
           00000000000000000000000000000000`),
    )
  })

  it('ends with these keys', () => {
    const initiatorSends = hex('248a29611829aaf7ee8bc8e87df805c1019f08f82d80eb79b7625821ba0a1317')
    const responderSends = hex('848308e622b3e15e5ebc5312111efc31082e86c85e9ee93fe8c5aa7f972cc9c3')
    expect(known.initiatorKeys).toEqual({ sendKey: initiatorSends, receiveKey: responderSends })
    expect(known.responderKeys).toEqual({ sendKey: responderSends, receiveKey: initiatorSends })
  })
})
