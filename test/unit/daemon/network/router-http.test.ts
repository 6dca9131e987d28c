import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { askRouter } from '../../../../src/daemon/network/router-http.js'
import type { RouterAnswer } from '../../../../src/paths/upnp.js'
import { ip } from '../../../support/inner-packets.js'

const PATIENCE_MS = 20_000
const IMPATIENCE_MS = 50

let close: () => void = () => undefined
afterEach(() => close())

/** Asks a router on this machine that behaves like `serve`. */
async function ask(
  serve: (question: IncomingMessage, answer: ServerResponse) => void,
  call?: { soapAction: string; body: string },
  patienceMs = PATIENCE_MS,
): Promise<RouterAnswer | undefined> {
  const server = createServer(serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  close = () => {
    server.closeAllConnections()
    server.close()
  }
  const { port } = server.address() as AddressInfo
  return await askRouter(ip('127.0.0.1'), { url: { port, path: '/a?b' }, call }, patienceMs)
}

it('gets a description', async () => {
  const answer = await ask(({ method, url }, response) => response.end(`${method} ${url}`))
  expect(answer).toEqual({ status: 200, text: 'GET /a?b' })
})

it('posts a call, as old routers want it', async () => {
  const call = { soapAction: '"urn:x#AddPortMapping"', body: '<a/>' }
  const answer = await ask(({ method, rawHeaders, headers }, response) => {
    const { 'content-length': length, 'content-type': type, soapaction } = headers
    response.statusCode = 500
    response.end(JSON.stringify([method, length, type, soapaction, rawHeaders.includes('SOAPAction')]))
  }, call)
  expect(answer).toEqual({
    status: 500,
    text: JSON.stringify(['POST', '4', 'text/xml; charset="utf-8"', '"urn:x#AddPortMapping"', true]),
  })
})

it('does not follow', async () => {
  const answer = await ask((_, response) => response.writeHead(302, { location: 'http://127.0.0.2/' }).end())
  expect(answer?.status).toBe(302)
})

it.each([
  ['an answer that is too long', (response: ServerResponse) => response.end('x'.repeat(64 * 1024 + 1))],
  [
    'an answer that breaks off',
    (response: ServerResponse) => {
      response.writeHead(200, { 'content-length': '10' })
      response.write('12345', () => response.destroy())
    },
  ],
  ['no answer', (response: ServerResponse) => response.destroy()],
  ['no HTTP', (response: ServerResponse) => response.socket?.end('SSH-2.0-x\r\n')],
])('takes no notice of %s', async (_, serve) => {
  expect(await ask((_question, response) => void serve(response))).toBeUndefined()
})

it.each([
  ['is silent', () => undefined],
  [
    'never comes to an end',
    (response: ServerResponse) => {
      response.write('x')
    },
  ],
])('does not wait for a router that %s', async (_, serve) => {
  expect(await ask((_question, response) => serve(response), undefined, IMPATIENCE_MS)).toBeUndefined()
})

it('takes a router for silent that is not there', async () => {
  await ask((_, response) => response.end())
  close()
  expect(
    await askRouter(ip('127.0.0.1'), { url: { port: 1, path: '/' }, call: undefined }, PATIENCE_MS),
  ).toBeUndefined()
})

it('gets nothing, and at once, from a router that wants another protocol', async () => {
  const head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'
  const answer = await ask(({ socket }) => socket.write(head))
  expect(answer).toBeUndefined()
})
