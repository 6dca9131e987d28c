import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  concatBytes,
  equalBytes,
  formatBase64,
  formatHex,
  isZero,
  tryParseBase64,
  tryParseHex,
  wipe,
} from '../../../src/base/bytes.js'

const ascii = new TextEncoder()

describe('bytes', () => {
  test('wiping leaves zeros in all of them', () => {
    const secrets = [Uint8Array.of(1, 2), Uint8Array.of(3)]
    wipe(...secrets)
    expect(secrets.every(isZero)).toBe(true)
  })

  test('equal means same length and same bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, at, flip) => {
          expect(equalBytes(bytes, bytes.slice())).toBe(true)
          expect(equalBytes(bytes, bytes.subarray(1))).toBe(false)
          const other = bytes.slice()
          const i = at % bytes.length
          other[i] = (other[i] as number) ^ flip
          expect(equalBytes(bytes, other)).toBe(false)
        },
      ),
      { seed: 1 },
    )
  })

  test('no bytes are zero, one set bit is not', () => {
    expect(isZero(new Uint8Array(0))).toBe(true)
    expect(isZero(Uint8Array.of(0, 0, 128))).toBe(false)
  })

  test('concatenation keeps order and copies', () => {
    const part = Uint8Array.of(1, 2)
    const joined = concatBytes(part, new Uint8Array(0), Uint8Array.of(3))
    part[0] = 9
    expect([...joined]).toEqual([1, 2, 3])
    expect(concatBytes()).toHaveLength(0)
  })

  test('hex is lower case and reads both cases', () => {
    expect(formatHex(Uint8Array.of(0x00, 0x0f, 0xa5))).toBe('000fa5')
    expect(tryParseHex('00Fa')).toEqual(Uint8Array.of(0x00, 0xfa))
    for (const text of ['0', 'gg', ' 00', '0x00', '00\n']) expect(tryParseHex(text)).toBeUndefined()
  })

  // RFC 4648 section 10
  test.each([
    ['', ''],
    ['f', 'Zg=='],
    ['fo', 'Zm8='],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg=='],
    ['fooba', 'Zm9vYmE='],
    ['foobar', 'Zm9vYmFy'],
  ])('base64 of "%s" is "%s"', (plain, encoded) => {
    expect(formatBase64(ascii.encode(plain))).toBe(encoded)
    expect(tryParseBase64(encoded)).toEqual(ascii.encode(plain))
  })

  test.each(['Zg', 'Zg=', 'Zg===', 'Zh==', 'Zm9=', '====', '=', 'Zm9v\n', 'Zm9_', 'Z=9v', 'Zg==Zg=='])(
    '"%s" is no canonical base64',
    (text) => {
      expect(tryParseBase64(text)).toBeUndefined()
    },
  )

  test('what was formatted can be parsed, as the platform does it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(formatBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'))
        expect(tryParseBase64(formatBase64(bytes))).toEqual(bytes)
        expect(tryParseHex(formatHex(bytes))).toEqual(bytes)
      }),
      { seed: 2 },
    )
  })

  test('no text makes a parser throw', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        tryParseBase64(text)
        tryParseHex(text)
      }),
      { seed: 3 },
    )
  })
})
