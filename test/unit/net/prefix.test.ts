import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ipFromBytes } from '../../../src/net/ip.js'
import {
  addressBits,
  formatPrefix,
  maskPrefix,
  type Prefix,
  prefixContains,
  tryParsePrefix,
} from '../../../src/net/prefix.js'
import { prefix } from '../../support/data-plane-harness.js'
import { ip } from '../../support/inner-packets.js'

const anyPrefix: fc.Arbitrary<Prefix> = fc.constantFrom(4, 16).chain((length) =>
  fc.record({
    address: fc.uint8Array({ minLength: length, maxLength: length }).map(ipFromBytes),
    bits: fc.integer({ min: 0, max: 8 * length }),
  }),
)

function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n)
}

describe('prefixes', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3/8', '10.1.2.3/8'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['::/0', '::/0'],
    ['FD00::1', 'fd00::1/128'],
    ['0.0.0.0/0', '0.0.0.0/0'],
  ])('%s is %s', (text, canonical) => {
    expect(formatPrefix(prefix(text))).toBe(canonical)
  })

  test.each([
    '',
    '/',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/08',
    '10.0.0.0/+8',
    '10.0.0.0/8/8',
    'a/8',
  ])('"%s" is no prefix', (text) => {
    expect(tryParsePrefix(text)).toBeUndefined()
  })

  test('masking clears host bits only', () => {
    expect(formatPrefix(maskPrefix(prefix('10.255.255.255/9')))).toBe('10.128.0.0/9')
    expect(formatPrefix(maskPrefix(prefix('ffff::ffff/17')))).toBe('ffff::/17')
    expect(formatPrefix(maskPrefix(prefix('1.2.3.4/32')))).toBe('1.2.3.4/32')
    expect(formatPrefix(maskPrefix(prefix('1.2.3.4/0')))).toBe('0.0.0.0/0')
  })

  test('an address is inside if its first bits agree', () => {
    fc.assert(
      fc.property(
        anyPrefix,
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.nat(140),
        (held, random, same) => {
          const width = held.address.bytes.length
          const bytes = random.slice(0, width)
          // Share a number of leading bits, so that both answers are common.
          for (let bit = 0; bit < Math.min(same, 8 * width); bit++) {
            const mask = 0x80 >> (bit & 7)
            const at = bit >> 3
            bytes[at] = ((bytes[at] as number) & ~mask) | ((held.address.bytes[at] as number) & mask)
          }
          const hostBits = BigInt(8 * width - held.bits)
          const expected = toNumber(bytes) >> hostBits === toNumber(held.address.bytes) >> hostBits
          expect(prefixContains(held, ipFromBytes(bytes))).toBe(expected)
        },
      ),
      { seed: 4632, numRuns: 500 },
    )
  })

  test('no prefix holds an address of the other family', () => {
    expect(prefixContains(prefix('::/0'), ip('10.0.0.1'))).toBe(false)
    expect(prefixContains(prefix('0.0.0.0/0'), ip('::'))).toBe(false)
  })

  test('what is formatted can be parsed', () => {
    fc.assert(
      fc.property(anyPrefix, (one) => {
        expect(tryParsePrefix(formatPrefix(one))).toEqual(one)
        expect(one.bits).toBeLessThanOrEqual(addressBits(one.address))
      }),
      { seed: 4291 },
    )
  })
})
