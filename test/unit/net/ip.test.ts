import { isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equalIp, formatIp, ipFromBytes, tryParseIp } from '../../../src/net/ip.js'

describe('IP addresses', () => {
  // RFC 5952 section 4 and RFC 4291 section 2.2
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:0db8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:0:2:0:0:3:4', '1::2:0:0:3:4'],
    ['fe80::', 'fe80::'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
  ])('%s is written %s', (text, canonical) => {
    const address = tryParseIp(text)
    expect(address === undefined ? undefined : formatIp(address)).toBe(canonical)
  })

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '0x7f.0.0.1',
    '1.2.3.256',
    '1.2.3.-1',
    ' 1.2.3.4',
    '1.2.3.4\n',
    ':',
    ':::',
    '1::2::3',
    ':1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '1:2:3:4:5:6::7:8',
    '12345::',
    'g::',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
    'fe80::1%eth0',
    '[::1]',
  ])('"%s" is no address', (text) => {
    expect(tryParseIp(text)).toBeUndefined()
  })

  test('what is formatted can be parsed, and is an address to the platform', () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc
        .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
        .map((b) => Uint8Array.from(b)),
    )
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const address = ipFromBytes(bytes)
        const text = formatIp(address)
        expect(address.family === 4 ? isIPv4(text) : isIPv6(text)).toBe(true)
        expect(tryParseIp(text)).toEqual(address)
      }),
      { seed: 5952 },
    )
  })

  test('what is accepted is accepted by the platform too', () => {
    const likeAddresses = fc.string({
      unit: fc.constantFrom(':', '::', '.', '0', '1', 'f', '255', '10'),
      maxLength: 20,
    })
    fc.assert(
      fc.property(likeAddresses, (text) => {
        const address = tryParseIp(text)
        const expected = isIPv4(text) ? 4 : isIPv6(text) ? 6 : undefined
        expect(address?.family).toBe(expected)
      }),
      { seed: 4291, numRuns: 5_000 },
    )
  })

  test('bytes are copied, and other lengths refused', () => {
    const bytes = Uint8Array.of(10, 0, 0, 1)
    const address = ipFromBytes(bytes)
    bytes[0] = 11
    expect(formatIp(address)).toBe('10.0.0.1')
    expect(() => ipFromBytes(new Uint8Array(5))).toThrow(RangeError)
  })

  test('addresses of two families are never equal', () => {
    expect(equalIp(ipFromBytes(new Uint8Array(4)), ipFromBytes(new Uint8Array(16)))).toBe(false)
    expect(equalIp(ipFromBytes(new Uint8Array(16)), ipFromBytes(new Uint8Array(16)))).toBe(true)
  })
})
