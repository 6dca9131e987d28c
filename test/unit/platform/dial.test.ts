import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCertificate } from '../../../src/hub/io/certificate.js'
import { type LabProxy, startProxy } from '../../../src/lab/proxy.js'
import { dial } from '../../../src/platform/dial.js'

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
    expect(failure).toContain('the proxy answers: HTTP/1.1 407')
    expect(failure).not.toContain('wr0ng')
  })
})
