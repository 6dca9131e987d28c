import { describe, expect, it } from 'vitest'
import { encodeEndpoint, tryDecodeEndpoint } from '../../../src/net/endpoint-bytes.js'
import { hex } from '../../support/hex.js'
import { endpoint } from '../../support/simulated-nat.js'

describe('an endpoint on the wire', () => {
  it.each([
    ['203.0.113.1', 0x1234, '00000000000000000000ffff cb007101 1234'],
    ['2001:db8::7', 443, '20010db8000000000000000000000007 01bb'],
  ])('is 18 bytes, there and back: %s', (address, port, text) => {
    expect(encodeEndpoint(endpoint(address, port))).toEqual(hex(text))
    expect(tryDecodeEndpoint(hex(`ff ${text} ff`), 1)).toEqual(endpoint(address, port))
  })

  it('is none without a port, or cut short', () => {
    expect(tryDecodeEndpoint(new Uint8Array(18), 0)).toBeUndefined()
    expect(tryDecodeEndpoint(hex('20010db8000000000000000000000007 01bb'), 1)).toBeUndefined()
  })
})
