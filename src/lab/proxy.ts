/** An HTTP proxy that knows CONNECT and nothing else, with or without Basic credentials and TLS. */

import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'

export interface LabProxy {
  readonly port: number
  stop(): void
}

/**
 * Resolves when it listens; port 0 takes any. `credentials`: `user:password`; empty for none. `certificate`: PEM, if
 * it is to be spoken to inside TLS.
 */
export async function startProxy(
  port: number,
  credentials: string,
  certificate?: { readonly key: string; readonly cert: string },
): Promise<LabProxy> {
  const wanted = `Basic ${Buffer.from(credentials).toString('base64')}`
  const refuse: RequestListener = (_request, response) => {
    response.writeHead(405)
    response.end()
  }
  const server = certificate === undefined ? createServer(refuse) : createTlsServer(certificate, refuse)
  server.on('connect', (request, socket, head) => {
    socket.on('error', () => undefined)
    if (credentials !== '' && request.headers['proxy-authorization'] !== wanted) {
      socket.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="lab"\r\n\r\n',
      )
      return
    }
    const [, host = '', number = ''] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(request.url ?? '') ?? []
    const onward = connect({ host, port: Number(number), noDelay: true }, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      onward.write(head)
      onward.pipe(socket).pipe(onward)
    })
    onward.on('error', () => socket.destroy())
    onward.on('close', () => socket.destroy())
    socket.on('close', () => onward.destroy())
  })
  await new Promise<void>((resolve) => server.listen(port, () => resolve()))
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}
