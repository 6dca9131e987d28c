import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Endpoint } from '../../../src/net/endpoint.js'
import { ipFromBytes } from '../../../src/net/ip.js'
import {
  changeRequest,
  decodeStun,
  encodeBindingAnswer,
  encodeBindingRequest,
  encodeResponsePortRequest,
  errorCode,
  isBinding,
  isStun,
  mappedEndpoint,
  otherEndpoint,
  responsePort,
  TRANSACTION_ID_BYTES,
} from '../../../src/paths/stun.js'
import { hex } from '../../support/hex.js'

const ID = Uint8Array.from({ length: TRANSACTION_ID_BYTES }, (_, i) => i + 1)

const transactionId = fc.uint8Array({ minLength: TRANSACTION_ID_BYTES, maxLength: TRANSACTION_ID_BYTES })
const endpoint: fc.Arbitrary<Endpoint> = fc
  .tuple(
    fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
    fc.integer({ min: 1, max: 65535 }),
  )
  .map(([bytes, port]) => ({ address: ipFromBytes(bytes), port, scopeId: 0 }))

describe('a STUN message', () => {
  it('is a Binding request with a fingerprint, byte for byte', () => {
    expect(encodeBindingRequest(ID)).toEqual(
      hex('0001 0008 2112a442 0102030405060708090a0b0c 8028 0004 5b20f9cc'),
    )
  })

  it.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])('asks for another address (%s) and port (%s)', (address, port) => {
    const message = decodeStun(encodeBindingRequest(ID, { address, port }))
    expect(message && isBinding(message)).toBe(true)
    expect(message?.class).toBe('request')
    expect(message && changeRequest(message)).toEqual({ address, port })
  })

  it('asks for an answer at another port, byte for byte', () => {
    const bytes = encodeResponsePortRequest(ID, 0x1234)
    expect(bytes.subarray(0, 32)).toEqual(
      hex('0001 0034 2112a442 0102030405060708090a0b0c 0027 0004 1234 0000 8022 0020'),
    )
    const message = decodeStun(bytes)
    expect(message && responsePort(message)).toBe(0x1234)
    const other = decodeStun(encodeBindingRequest(ID))
    expect(other && responsePort(other)).toBeUndefined()
  })

  it('carries endpoints of both families there and back', () => {
    fc.assert(
      fc.property(transactionId, endpoint, fc.option(endpoint, { nil: undefined }), (id, mapped, other) => {
        const bytes = encodeBindingAnswer({ transactionId: id, mapped, ...(other && { other }) })
        const message = decodeStun(bytes)
        expect(message?.class).toBe('success')
        expect(message?.transactionId).toEqual(id)
        expect(message && mappedEndpoint(message)).toEqual(mapped)
        expect(message && otherEndpoint(message)).toEqual(other)
      }),
    )
  })

  it('gives the older MAPPED-ADDRESS where there is no masked one', () => {
    const message = decodeStun(
      hex('0101 000c 2112a442 0102030405060708090a0b0c 0001 0008 0001 1234 c0000207'),
    )
    expect(message && mappedEndpoint(message)).toEqual({
      address: ipFromBytes(Uint8Array.of(192, 0, 2, 7)),
      port: 0x1234,
      scopeId: 0,
    })
  })

  it.each([
    ['and not counted', '0101 0011'],
    ['and counted', '0101 0014'],
  ])('may lack the padding of its last attribute: left out %s', (_what, head) => {
    const id = '2112a442 0102030405060708090a0b0c'
    const message = decodeStun(hex(`${head} ${id} 0001 0008 0001 1234 c0000207 8022 0001 61`))
    expect(message && mappedEndpoint(message)?.port).toBe(0x1234)
    expect(decodeStun(hex(`0101 0010 ${id} 0001 0008 0001 1234 c0000207 8022 0001 61`))).toBeUndefined()
    expect(decodeStun(hex(`0101 0018 ${id} 0001 0008 0001 1234 c0000207 8022 0001 61`))).toBeUndefined()
  })

  it('gives the code of an error', () => {
    const message = decodeStun(hex('0111 0008 2112a442 0102030405060708090a0b0c 0009 0004 0000 0414'))
    expect(message?.class).toBe('error')
    expect(message && errorCode(message)).toBe(420)
  })

  it('is never seen in other bytes, and decoding those never throws', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodeStun(bytes) === undefined))
    const header = hex('0101 0000 2112a442 0102030405060708090a0b0c')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (body) => {
        const bytes = new Uint8Array(header.length + body.length)
        bytes.set(header)
        bytes.set(body, header.length)
        new DataView(bytes.buffer).setUint16(2, body.length)
        const message = decodeStun(bytes)
        if (message === undefined) return
        mappedEndpoint(message)
        otherEndpoint(message)
        errorCode(message)
      }),
    )
  })

  it.each([
    ['shorter than its header', '0001 0000 2112a442 0102030405060708090a0b'],
    ['longer than it says', '0001 0000 2112a442 0102030405060708090a0b0c 00000000'],
    ['shorter than it says', '0001 0008 2112a442 0102030405060708090a0b0c 00000000'],
    ['not a multiple of 4 long', '0001 0002 2112a442 0102030405060708090a0b0c 0000'],
    ['with an attribute that runs over', '0001 0004 2112a442 0102030405060708090a0b0c 0009 0001'],
    ['with a wrong fingerprint', '0001 0008 2112a442 0102030405060708090a0b0c 8028 0004 00000000'],
    ['with another cookie', '0001 0000 2112a443 0102030405060708090a0b0c'],
    ['with the upper bits set', '4001 0000 2112a442 0102030405060708090a0b0c'],
  ])('is refused %s', (_, text) => {
    expect(decodeStun(hex(text))).toBeUndefined()
  })

  it('is told from WireGuard messages and probes', () => {
    for (const type of [1, 2, 3, 4]) {
      const message = new Uint8Array(148)
      message[0] = type
      expect(isStun(message)).toBe(false)
    }
    expect(isStun(hex('6f766c01 2112a442 000000000000000000000000'))).toBe(false)
  })
})
