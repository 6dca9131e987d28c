import { describe, expect, it } from 'vitest'
import { chooseRange, overlapsWith } from '../../../src/hub/choose-range.js'
import { formatPrefix, tryParsePrefix } from '../../../src/net/prefix.js'

const prefixes = (...texts: string[]) => texts.map((text) => tryParsePrefix(text) ?? expect.fail(text))
const choose = (random: number, ...busy: string[]): string | undefined => {
  const range = chooseRange(random, prefixes(...busy))
  return range && formatPrefix(range)
}

describe('the range of a new network', () => {
  it('is where chance points, if nothing there is in use', () => {
    expect(choose(0)).toBe('100.64.0.0/16')
    expect(choose(63)).toBe('100.127.0.0/16')
    expect(choose(255)).toBe('100.127.0.0/16')
    expect(choose(5, '0.0.0.0/0', '10.0.0.0/8', '192.168.1.0/24')).toBe('100.69.0.0/16')
  })

  it('avoids name servers, gateways and routes, narrow and wide', () => {
    expect(choose(36, '100.100.100.100/32')).toBe('100.101.0.0/16')
    expect(choose(63, '100.127.255.254/32')).toBe('100.64.0.0/16')
    expect(choose(0, '100.64.0.0/11')).toBe('100.96.0.0/16')
  })

  it('passes a carrier’s route to all of it over, but not its servers', () => {
    expect(choose(0, '100.64.0.0/10', '100.64.0.1/32')).toBe('100.65.0.0/16')
  })

  it('is none where all are in use', () => {
    expect(choose(0, '100.64.0.0/11', '100.96.0.0/11')).toBeUndefined()
  })

  it('is told what overlaps a chosen one', () => {
    const [range, ...busy] = prefixes(
      '10.80.0.0/16',
      '10.80.3.0/24',
      '10.64.0.0/11',
      '10.81.0.0/16',
      '0.0.0.0/0',
    )
    expect(range && overlapsWith(range, busy).map(formatPrefix)).toEqual(['10.80.3.0/24', '10.64.0.0/11'])
  })
})
