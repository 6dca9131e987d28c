/**
 * TCP connections to hubs and relays: plain or inside TLS, straight or through an HTTP proxy (CONNECT,
 * RFC 9110 section 9.3.6, with Basic credentials, RFC 7617).
 *
 * Certificates of hubs and relays are not checked: what runs inside is proven and sealed by keys of its own, and
 * a proxy that looks into TLS learns no more than a router on the way. That of a proxy that is spoken to inside
 * TLS is: it gets the credentials.
 */

import { Buffer } from 'node:buffer'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, rootCertificates } from 'node:tls'
import type { HostEndpoint } from '../net/endpoint.js'
import type { HttpProxy } from '../net/http-proxy.js'
import { type AddressCheck, checkedLookup, requireAllowed } from './checked-lookup.js'

export interface DialRequest {
  readonly to: HostEndpoint
  readonly isTls: boolean
  readonly proxy: HttpProxy | undefined
  /** Of `to`. Where a proxy resolves its name, the proxy decides. */
  readonly isAllowed?: AddressCheck
  /** Aborting it gives the attempt up. */
  readonly signal: AbortSignal
  /** SO_KEEPALIVE is on; this socket may write so much before it says that it is full. */
  readonly bufferBytes?: number
}

const MAX_ANSWER_BYTES = 8192
const SUCCESS = /^HTTP\/1\.[01] 2\d\d/
const PROXY_REFUSAL = 'the proxy refuses'

/** Code of the error of an attempt that was told to stop. */
export const GIVEN_UP = 'ABORT_ERR'

export function givenUp(): Error {
  return Object.assign(new Error('given up'), { code: GIVEN_UP })
}

/** Rejects with an error that says what failed; it holds no credentials. */
export async function dial(request: DialRequest): Promise<Socket> {
  const { to, proxy, isAllowed, signal } = request
  if (isAllowed !== undefined) await requireAllowed(to.host, isAllowed)
  const first = await (proxy === undefined ? open(to, signal, isAllowed) : open(proxy.endpoint, signal))
  try {
    const outer = proxy?.isTls === true ? await wrapProxy(first, proxy, signal) : first
    if (proxy !== undefined) await connectThrough(outer, proxy, request)
    return request.isTls ? await wrap(outer, request) : outer
  } catch (error) {
    first.destroy()
    throw error
  }
}

async function open(
  { host, port }: HostEndpoint,
  signal: AbortSignal,
  isAllowed?: AddressCheck,
): Promise<Socket> {
  const lookup = isAllowed === undefined ? {} : { lookup: checkedLookup(isAllowed) }
  const socket = connect({ host, port, noDelay: true, keepAlive: true, autoSelectFamily: true, ...lookup })
  await until(socket, signal, (done) => socket.once('connect', done))
  return socket
}

/** Whether the text of an error tells that a proxy said no: trying again, or otherwise, changes nothing. */
export function isProxyRefusal(reason: string): boolean {
  return reason.includes(PROXY_REFUSAL)
}

/** `head`: of the proxy's answer. */
function describeRefusal(status: string, head: string, hasCredentials: boolean): string {
  const schemes = [...head.matchAll(/^proxy-authenticate:\s*([A-Za-z][\w-]*)/gim)].map(
    ([, scheme = '']) => scheme,
  )
  if (!/^HTTP\/1\.[01] 407\b/.test(status)) return `it answers ${status.slice(0, 100)}`
  if (schemes.length > 0 && !schemes.some((scheme) => scheme.toLowerCase() === 'basic')) {
    const wanted = [...new Set(schemes)].slice(0, 4).join(' or ')
    return `it wants ${wanted} (407), and overlay speaks Basic only; a proxy on this machine can sign in for it, such as px or cntlm`
  }
  return hasCredentials
    ? 'it does not take the user or the password (407)'
    : 'it wants a user and a password (407): put them into the environment, https_proxy=http://USER:PASSWORD@HOST:PORT'
}

async function connectThrough(socket: Socket, proxy: HttpProxy, { to, signal }: DialRequest): Promise<void> {
  const target = `${to.host.includes(':') ? `[${to.host}]` : to.host}:${to.port}`
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`]
  if (proxy.credentials !== '') {
    lines.push(`Proxy-Authorization: Basic ${Buffer.from(proxy.credentials).toString('base64')}`)
  }
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  let answer = Buffer.alloc(0)
  await until(socket, signal, (done, fail) => {
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk])
      const end = answer.indexOf('\r\n\r\n')
      if (end < 0 && answer.length < MAX_ANSWER_BYTES) return
      socket.removeAllListeners('data')
      socket.pause()
      const head = answer.toString('latin1', 0, end < 0 ? answer.length : end)
      const [status = ''] = head.split('\r\n', 1)
      if (end < 0 || !SUCCESS.test(status)) {
        fail(new Error(`${PROXY_REFUSAL}: ${describeRefusal(status, head, proxy.credentials !== '')}`))
      } else {
        const rest = answer.subarray(end + 4)
        if (rest.length > 0) socket.unshift(rest)
        done()
      }
    })
  })
}

async function wrap(socket: Socket, { to, signal }: DialRequest): Promise<Socket> {
  const tls = connectTls({
    socket,
    ...(isIP(to.host) === 0 && { servername: to.host }),
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  })
  await until(tls, signal, (done) => tls.once('secureConnect', done))
  return tls
}

async function wrapProxy(socket: Socket, proxy: HttpProxy, signal: AbortSignal): Promise<Socket> {
  const { host } = proxy.endpoint
  const { authority } = proxy
  const tls = connectTls({
    socket,
    host,
    ...(isIP(host) === 0 && { servername: host }),
    ...(authority !== undefined && { ca: [...rootCertificates, authority] }),
    ALPNProtocols: ['http/1.1'],
  })
  await until(tls, signal, (done) => tls.once('secureConnect', done))
  return tls
}

/** Waits for `arrange` to call back, for the end of the socket, or for the signal. */
async function until(
  socket: Socket,
  signal: AbortSignal,
  arrange: (done: () => void, fail: (error: Error) => void) => void,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      signal.removeEventListener('abort', onAbort)
      socket.removeListener('error', settle)
      socket.removeListener('close', onClose)
      if (error === undefined) {
        resolve()
        return
      }
      socket.on('error', () => undefined)
      socket.destroy()
      reject(error)
    }
    const onAbort = (): void => settle(givenUp())
    const onClose = (): void => settle(new Error('the connection was closed'))
    signal.addEventListener('abort', onAbort)
    socket.once('error', settle)
    socket.once('close', onClose)
    if (signal.aborted) onAbort()
    else arrange(() => settle(), settle)
  })
}
