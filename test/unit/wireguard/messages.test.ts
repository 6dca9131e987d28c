import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeCookieReply,
  decodeInitiation,
  decodeResponse,
  encodeCookieReply,
  encodeInitiation,
  encodeResponse,
  messageTypeOf,
  readCounterHigh,
  readCounterLow,
  readReceiverIndex,
  writeTransportHeader,
} from '../../../src/wireguard/messages.js'
import { countingBytes, hex } from '../../support/hex.js'

const LENGTHS = [
  [1, 148],
  [2, 92],
  [3, 64],
] as const

/** `length` bytes that begin with a type word. */
function datagram(typeWord: string, length: number): Uint8Array {
  const bytes = countingBytes(length)
  bytes.set(hex(typeWord))
  return bytes
}

const DECODERS = [decodeInitiation, decodeResponse, decodeCookieReply]

describe('an initiation', () => {
  it('has its fields where the paper puts them', () => {
    const bytes = datagram('01000000', 148)
    expect(decodeInitiation(bytes)).toEqual({
      senderIndex: 0x07060504,
      ephemeral: countingBytes(32, 8),
      sealedStatic: countingBytes(48, 40),
      sealedTimestamp: countingBytes(28, 88),
      mac1: countingBytes(16, 116),
      mac2: countingBytes(16, 132),
    })
  })
})

describe('a response', () => {
  it('has its fields where the paper puts them', () => {
    const bytes = datagram('02000000', 92)
    expect(decodeResponse(bytes)).toEqual({
      senderIndex: 0x07060504,
      receiverIndex: 0x0b0a0908,
      ephemeral: countingBytes(32, 12),
      sealedEmpty: countingBytes(16, 44),
      mac1: countingBytes(16, 60),
      mac2: countingBytes(16, 76),
    })
  })
})

describe('a cookie reply', () => {
  it('has its fields where the paper puts them', () => {
    const bytes = datagram('03000000', 64)
    expect(decodeCookieReply(bytes)).toEqual({
      receiverIndex: 0x07060504,
      nonce: countingBytes(24, 8),
      sealedCookie: countingBytes(32, 32),
    })
  })
})

describe('encoding', () => {
  it('is the inverse of decoding, for indices over 2^31 too', () => {
    const roundTrip = fc.property(fc.uint8Array({ minLength: 148, maxLength: 148 }), (random) => {
      for (const [type, length] of LENGTHS) {
        const bytes = random.slice(0, length)
        bytes.set([type, 0, 0, 0])
        expect(reencode(bytes)).toEqual(bytes)
      }
    })
    fc.assert(roundTrip, { seed: 1 })
  })
})

function reencode(bytes: Uint8Array): Uint8Array | undefined {
  const initiation = decodeInitiation(bytes)
  if (initiation !== undefined) return encodeInitiation(initiation)
  const response = decodeResponse(bytes)
  if (response !== undefined) return encodeResponse(response)
  const cookieReply = decodeCookieReply(bytes)
  return cookieReply && encodeCookieReply(cookieReply)
}

describe('the decoders', () => {
  it('take exactly one length each', () => {
    for (const [type, length] of LENGTHS) {
      for (let other = 0; other <= 200; other++) {
        const bytes = new Uint8Array(other)
        bytes.set([type, 0, 0, 0].slice(0, other))
        const decoded = DECODERS.map((decode) => decode(bytes) !== undefined)
        expect(decoded).toEqual([1, 2, 3].map((each) => each === type && other === length))
      }
    }
  })

  it('refuse reserved bytes that are not zero', () => {
    for (const [type, length] of LENGTHS) {
      for (const word of [`0${type}010000`, `0${type}000100`, `0${type}000001`, `1${type}000000`]) {
        const bytes = datagram(word, length)
        expect(messageTypeOf(bytes)).toBe(0)
        expect(DECODERS.map((decode) => decode(bytes))).toEqual([undefined, undefined, undefined])
      }
    }
  })

  it('never throw on random bytes', () => {
    const lengths = fc.constantFrom(0, 1, 3, 4, 31, 32, 64, 92, 148, 1500)
    const arbitrary = lengths.chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
    const decoding = fc.property(arbitrary, fc.nat({ max: 5 }), (bytes, type) => {
      bytes.set([type, 0, 0, 0].slice(0, bytes.length))
      expect([0, 1, 2, 3, 4]).toContain(messageTypeOf(bytes))
      for (const decode of DECODERS) decode(bytes)
    })
    fc.assert(decoding, { seed: 2, numRuns: 1000 })
  })
})

describe('a transport message', () => {
  it('has at least header and tag', () => {
    expect(messageTypeOf(datagram('04000000', 31))).toBe(0)
    expect(messageTypeOf(datagram('04000000', 32))).toBe(4)
    expect(messageTypeOf(datagram('04000000', 1500))).toBe(4)
    expect(messageTypeOf(datagram('05000000', 1500))).toBe(0)
  })

  it('has a header of type, receiver index and counter, little-endian', () => {
    const buffer = new Uint8Array(20)
    writeTransportHeader(buffer, 2, 0xfedcba98, 0x80000001, 0xf0e0d0c0)
    expect(buffer).toEqual(hex('0000 04000000 98badcfe c0d0e0f0 01000080 0000'))
    expect(readReceiverIndex(buffer, 2)).toBe(0xfedcba98)
    expect(readCounterLow(buffer, 2)).toBe(0xf0e0d0c0)
    expect(readCounterHigh(buffer, 2)).toBe(0x80000001)
  })
})
