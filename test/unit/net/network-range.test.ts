import { describe, expect, it } from 'vitest'
import { isRangeAllowed, tryParseRange } from '../../../src/net/network-range.js'
import { formatPrefix, tryParsePrefix } from '../../../src/net/prefix.js'

const prefix = (text: string) => tryParsePrefix(text) ?? expect.fail(text)

describe('the range of a network', () => {
  it.each([
    '100.64.0.0/10',
    '100.80.0.0/16',
    '10.0.0.0/8',
    '172.16.0.0/12',
    '192.168.7.0/24',
    '10.1.2.16/28',
  ])('may be %s', (text) => {
    expect(tryParseRange(text) && formatPrefix(prefix(text))).toBe(text)
  })

  it.each([
    '8.0.0.0/8',
    '127.0.0.0/8',
    '169.254.0.0/16',
    '0.0.0.0/0',
    '100.0.0.0/8',
    '172.0.0.0/8',
    '224.0.0.0/4',
    '10.80.1.0/16',
    '10.0.0.0/30',
    '10.0.0.1',
    'fd00::/48',
    'x',
    '',
  ])('may not be "%s"', (text) => {
    expect(tryParseRange(text)).toBeUndefined()
  })

  it.each([
    ['100.80.0.0/16', undefined, true],
    ['100.64.0.0/10', undefined, true],
    ['100.64.0.0/9', undefined, false],
    ['10.80.0.0/16', undefined, false],
    ['8.0.0.0/8', undefined, false],
    ['192.168.0.0/16', undefined, false],
    ['10.80.0.0/16', '10.80.0.0/16', true],
    ['10.80.3.0/24', '10.80.0.0/16', true],
    ['10.0.0.0/8', '10.80.0.0/16', false],
    ['100.80.0.0/16', '10.80.0.0/16', false],
    ['fd12:3456:789a::/48', undefined, true],
    ['fd12:3456:789a::/48', '10.80.0.0/16', true],
    ['2001:db8::/48', undefined, false],
    ['fc00::/48', undefined, false],
    ['::/0', undefined, false],
  ])('%s is taken of a hub where a person confirmed %s: %s', (range, confirmed, isTaken) => {
    expect(isRangeAllowed(prefix(range), confirmed === undefined ? undefined : prefix(confirmed))).toBe(
      isTaken,
    )
  })
})
