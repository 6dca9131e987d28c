import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/base/errors.js'
import { proxyFromEnvironment } from '../../../src/config/proxy.js'

const PROXY = { host: 'proxy.example', port: 3128 }

describe('the proxy of the environment', () => {
  it.each([
    ['http://proxy.example:3128', PROXY],
    ['proxy.example:3128', PROXY],
    ['http://proxy.example:3128/', PROXY],
    ['http://proxy.example', { host: 'proxy.example', port: 80 }],
    ['https://proxy.example', { host: 'proxy.example', port: 443 }],
    ['http://192.0.2.1:8080', { host: '192.0.2.1', port: 8080 }],
    ['http://[2001:db8::1]:8080', { host: '2001:db8::1', port: 8080 }],
  ])('is read from %s', (text, endpoint) => {
    expect(proxyFromEnvironment({ https_proxy: text })).toEqual({
      variable: 'https_proxy',
      endpoint,
      needsCredentials: false,
    })
  })

  it('is taken from the first variable that is set, lower case before upper case', () => {
    const all = { HTTPS_PROXY: 'b:2', all_proxy: 'c:3', ALL_PROXY: 'd:4' }
    expect(proxyFromEnvironment(all)?.endpoint.host).toBe('b')
    expect(proxyFromEnvironment({ ...all, https_proxy: 'a:1' })?.endpoint.host).toBe('a')
    expect(proxyFromEnvironment({ ...all, HTTPS_PROXY: undefined })?.variable).toBe('all_proxy')
  })

  it('is none where no variable is set, or the first one is empty', () => {
    expect(proxyFromEnvironment({})).toBeUndefined()
    expect(proxyFromEnvironment({ https_proxy: '', HTTPS_PROXY: 'b:2' })).toBeUndefined()
  })

  it('keeps its credentials to itself', () => {
    const proxy = proxyFromEnvironment({ https_proxy: 'http://ada:s3cret@proxy.example:3128' })
    expect(proxy).toEqual({ variable: 'https_proxy', endpoint: PROXY, needsCredentials: true })
  })

  it.each(['socks5://ada:s3cret@proxy.example', 'http://', 'a b', 'ada:s3cret@:99', 'http://a:99999'])(
    'is refused, without a secret in the error: %s',
    (text) => {
      const refuse = (): unknown => proxyFromEnvironment({ ALL_PROXY: text })
      expect(refuse).toThrow(AppError)
      expect(refuse).toThrow('the variable ALL_PROXY names no HTTP proxy')
    },
  )
})
