import { describe, expect, it } from 'vitest'
import { hostOf } from '../../../src/cli/options.js'

const hostIn = (text: string | undefined): string | undefined => hostOf({ value: () => text }, 'address')

describe('the option for a host', () => {
  it.each([
    ['hub.example.org', 'hub.example.org'],
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    [undefined, undefined],
  ])('takes %s', (text, host) => {
    expect(hostIn(text)).toBe(host)
  })

  it.each([
    'hub.example.org:443',
    '192.0.2.1:443',
    '[2001:db8::1]:443',
    'https://hub.example.org',
    '1.2.3',
    '',
  ])('refuses "%s"', (text) => {
    expect(() => hostIn(text)).toThrow('--address cannot be')
  })
})
