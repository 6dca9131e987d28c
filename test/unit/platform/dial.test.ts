import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCertificate } from '../../../src/hub/io/certificate.js'
import { type LabProxy, startProxy } from '../../../src/lab/proxy.js'
import { dial, isProxyRefusal } from '../../../src/platform/dial.js'

const CREDENTIALS = 'ada:s3cret'

describe('a proxy inside TLS', () => {
  const certificate = createCertificate('localhost')
  let proxy: LabProxy
  let server: Server

  beforeEach(async () => {
    proxy = await startProxy(0, CREDENTIALS, certificate)
    server = createServer((socket) => socket.end('hello'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  afterEach(() => {
    proxy.stop()
    server.close()
  })

  async function through(credentials: string, authority: string | undefined): Promise<string> {
    const { port } = server.address() as AddressInfo
    const socket = await dial({
      to: { host: '127.0.0.1', port },
      isTls: false,
      proxy: { endpoint: { host: 'localhost', port: proxy.port }, isTls: true, credentials, authority },
      signal: AbortSignal.timeout(5000),
    })
    const data = once(socket, 'data')
    socket.resume()
    const [chunk] = (await data) as [Buffer]
    socket.destroy()
    return chunk.toString()
  }

  it('is gone through if its certificate is known', async () => {
    expect(await through(CREDENTIALS, certificate.cert)).toBe('hello')
  })

  it('gets no credentials if it is not known', async () => {
    await expect(through(CREDENTIALS, undefined)).rejects.toThrow('self-signed certificate')
    await expect(through(CREDENTIALS, createCertificate('localhost').cert)).rejects.toThrow('self-signed')
  })

  it('says that credentials are wrong, and the error holds none', async () => {
    const failure = await through('ada:wr0ng', certificate.cert).catch(String)
    expect(failure).toContain('the proxy refuses: it does not take the user or the password (407)')
    expect(failure).not.toContain('wr0ng')
  })
})

describe('a proxy that refuses', () => {
  const BASIC = 'Proxy-Authenticate: Basic realm="x"'

  async function refusalOf(status: string, headers: readonly string[], credentials = ''): Promise<string> {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end([`HTTP/1.1 ${status}`, ...headers, '', ''].join('\r\n')))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const failure = await dial({
      to: { host: '192.0.2.1', port: 443 },
      isTls: false,
      proxy: { endpoint: { host: '127.0.0.1', port }, isTls: false, credentials, authority: undefined },
      signal: AbortSignal.timeout(5000),
    }).catch(String)
    server.close()
    return String(failure)
  }

  it.each([
    [
      '407 X',
      ['Proxy-Authenticate: NTLM', 'proxy-authenticate: Negotiate'],
      'it wants NTLM or Negotiate (407), and',
    ],
    ['407 X', [BASIC], 'it wants a user and a password (407)'],
    ['407 X', [BASIC, 'Proxy-Authenticate: NTLM'], 'it wants a user and a password (407)'],
    ['407 X', [], 'it wants a user and a password (407)'],
    ['403 Forbidden', [], 'it answers HTTP/1.1 403 Forbidden'],
  ])('with %s %s says why', async (status, headers, words) => {
    const refusal = await refusalOf(status, headers)
    expect(refusal).toContain(words)
    expect(isProxyRefusal(refusal)).toBe(true)
  })
})
