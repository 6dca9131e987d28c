/** An HTTP proxy that knows CONNECT and nothing else, with or without Basic credentials. */

import { createServer } from 'node:http'
import { connect } from 'node:net'

/** Resolves when it listens. `credentials`: `user:password`; empty for none. */
export async function startProxy(port: number, credentials: string): Promise<{ stop(): void }> {
  const wanted = `Basic ${Buffer.from(credentials).toString('base64')}`
  const server = createServer((_request, response) => {
    response.writeHead(405)
    response.end()
  })
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
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}
