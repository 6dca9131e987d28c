import { describe, expect, test } from 'vitest'
import {
  equalEndpoint,
  formatEndpoint,
  formatHostEndpoint,
  tryParseHostEndpoint,
} from '../../../src/net/endpoint.js'
import { equalPath } from '../../../src/net/path.js'
import { ip } from '../../support/inner-packets.js'

describe('endpoints', () => {
  test.each([
    ['192.0.2.1:51820', '192.0.2.1', 51820],
    ['[2001:db8::1]:1', '2001:db8::1', 1],
    ['[fe80::1%eth0]:65535', 'fe80::1%eth0', 65535],
    ['vpn.example.org:51820', 'vpn.example.org', 51820],
    ['a-1.example.:80', 'a-1.example.', 80],
    ['localhost:9', 'localhost', 9],
    ['_sip._udp.example:9', '_sip._udp.example', 9],
    [`${'a'.repeat(253)}:9`, 'a'.repeat(253), 9],
  ])('%s names host and port', (text, host, port) => {
    const endpoint = tryParseHostEndpoint(text)
    expect(endpoint).toEqual({ host, port })
    expect(endpoint === undefined ? undefined : formatHostEndpoint(endpoint)).toBe(text)
  })

  test.each([
    '',
    ':51820',
    '192.0.2.1',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '192.0.2.1:123456',
    '192.0.2.1:+1',
    '192.0.2:1',
    '192.0.2.1.:80',
    '2001:db8::1:51820',
    '[192.0.2.1]:1',
    '[2001:db8::1]',
    '[2001:db8::1%]:1',
    '[2001:db8::1%a%b]:1',
    '[]:1',
    'a b:1',
    'a..b:1',
    '-a.example:1',
    '.example:1',
    `${'a'.repeat(254)}:9`,
    'host:1\n',
  ])('"%s" is no endpoint', (text) => {
    expect(tryParseHostEndpoint(text)).toBeUndefined()
  })

  test('a v6 endpoint has brackets, and its scope where it has one', () => {
    expect(formatEndpoint({ address: ip('192.0.2.1'), port: 9, scopeId: 0 })).toBe('192.0.2.1:9')
    expect(formatEndpoint({ address: ip('fe80::1'), port: 9, scopeId: 0 })).toBe('[fe80::1]:9')
    expect(formatEndpoint({ address: ip('fe80::1'), port: 9, scopeId: 3 })).toBe('[fe80::1%3]:9')
  })

  test('endpoints are equal in all three parts', () => {
    const endpoint = { address: ip('fe80::1'), port: 9, scopeId: 3 }
    expect(equalEndpoint(endpoint, { ...endpoint, address: ip('fe80::1') })).toBe(true)
    expect(equalEndpoint(endpoint, { ...endpoint, address: ip('fe80::2') })).toBe(false)
    expect(equalEndpoint(endpoint, { ...endpoint, port: 10 })).toBe(false)
    expect(equalEndpoint(endpoint, { ...endpoint, scopeId: 4 })).toBe(false)
  })

  test('paths are equal in socket, remote and local address', () => {
    const path = {
      socket: 1,
      remote: { address: ip('192.0.2.1'), port: 9, scopeId: 0 },
      local: ip('192.0.2.2'),
    }
    expect(equalPath(path, { ...path, local: ip('192.0.2.2') })).toBe(true)
    expect(equalPath(path, { ...path, local: ip('192.0.2.3') })).toBe(false)
    expect(equalPath(path, { ...path, local: undefined })).toBe(false)
    expect(equalPath({ ...path, local: undefined }, { ...path, local: undefined })).toBe(true)
    expect(equalPath(path, { ...path, socket: 2 })).toBe(false)
    expect(equalPath(path, { ...path, remote: { ...path.remote, port: 10 } })).toBe(false)
  })
})
