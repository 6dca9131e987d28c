import { describe, expect, it } from 'vitest'
import { type IpAddress, tryParseIp } from '../../../src/net/ip.js'
import { isServerAllowed, scopeOf } from '../../../src/net/scope.js'

const ip = (text: string): IpAddress => tryParseIp(text) ?? expect.fail(text)

describe('the scope of an address', () => {
  it.each([
    ['203.0.113.7', 'world'],
    ['2001:db8::1', 'world'],
    ['192.168.1.1', 'site'],
    ['100.64.0.1', 'site'],
    ['fd00::1', 'site'],
    ['169.254.7.7', 'link'],
    ['fe80::1', 'link'],
    ['127.0.0.53', 'loopback'],
    ['::1', 'loopback'],
    ['169.254.169.254', 'nowhere'],
    ['fd00:ec2::254', 'nowhere'],
    ['255.255.255.255', 'nowhere'],
    ['0.0.0.0', 'nowhere'],
    ['ff02::1', 'nowhere'],
    ['::', 'nowhere'],
  ])('of %s is %s', (text, scope) => {
    expect(scopeOf(ip(text))).toBe(scope)
  })

  it('lets a hub in the world name servers in the world only', () => {
    const hub = [ip('203.0.113.1')]
    for (const text of ['198.51.100.7', '2001:db8::7']) expect(isServerAllowed(ip(text), hub)).toBe(true)
    for (const text of ['192.168.1.1', '127.0.0.1', 'fe80::1', '169.254.169.254', 'fd00::9']) {
      expect(isServerAllowed(ip(text), hub)).toBe(false)
    }
  })

  it('lets a hub of the site name servers of the site, and one on this machine itself', () => {
    expect(isServerAllowed(ip('192.168.1.7'), [ip('10.0.0.1')])).toBe(true)
    expect(isServerAllowed(ip('169.254.169.254'), [ip('169.254.169.254')])).toBe(false)
    expect(isServerAllowed(ip('127.0.0.1'), [ip('127.0.0.1')])).toBe(true)
    expect(isServerAllowed(ip('127.0.0.1'), [ip('10.0.0.1')])).toBe(false)
    expect(isServerAllowed(ip('192.168.1.7'), [])).toBe(false)
  })
})
