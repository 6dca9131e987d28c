/**
 * One TCP port for everything: the first byte of a connection tells TLS (0x16), HTTP (an upper case
 * letter) and STUN (0) from plain relay frames, so that a hub needs no second port where a firewall lets through one.
 *
 * Who has not said anything yet is bounded in number and time, the oldest giving way.
 */

import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import { type WebSocket, WebSocketServer } from 'ws'
import { PlatformError } from '../../base/errors.js'
import type { Endpoint } from '../../net/endpoint.js'
import { toPlatformError } from '../../platform/system-error.js'
import {
  type ByteStream,
  remoteEndpointOf,
  STREAM_BUFFER_BYTES,
  streamOfSocket,
  streamOfWebSocket,
} from '../../relay/io/byte-stream.js'
import { serveStun } from './stun-stream.js'

const TLS_HANDSHAKE_BYTE = 0x16
/** Requests of STUN begin with two zero bits and their class. */
const STUN_BYTE = 0
const SILENCE_TIMEOUT_MS = 5000
const MAX_SILENT = 2048
const MAX_HEADER_BYTES = 8192
/** Whoever begins a request has to end it. */
const HTTP_LIMITS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: SILENCE_TIMEOUT_MS,
  requestTimeout: SILENCE_TIMEOUT_MS,
  connectionsCheckingInterval: 1000,
}
const MAX_WEBSOCKET_MESSAGE_BYTES: number = 128 * 1024

export interface FrontDoorOptions {
  /** Undefined for all addresses. */
  readonly host: string | undefined
  readonly port: number
  /** PEM; undefined: TLS is not spoken. */
  readonly certificate: { readonly key: string; readonly cert: string } | undefined
  readonly onRelay: (stream: ByteStream, remote: Endpoint) => void
  readonly onControl: (socket: WebSocket, remote: Endpoint) => void
}

export class FrontDoor {
  readonly #options: FrontDoorOptions
  readonly #server: Server
  readonly #http: HttpServer
  readonly #tls: TlsServer | undefined
  readonly #webSockets: WebSocketServer
  readonly #sockets = new Set<Socket>()
  readonly #silent = new Map<Socket, NodeJS.Timeout>()
  #turnedAway = 0

  private constructor(options: FrontDoorOptions) {
    this.#options = options
    this.#server = createServer({ noDelay: true, highWaterMark: STREAM_BUFFER_BYTES }, (socket) =>
      this.#welcome(socket),
    )
    this.#http = createHttpServer(HTTP_LIMITS, (_request, response) => {
      response.writeHead(404, { 'Content-Type': 'text/plain', Connection: 'close' })
      response.end('an overlay hub\n')
    })
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: MAX_WEBSOCKET_MESSAGE_BYTES,
    })
    const { certificate } = options
    if (certificate !== undefined) {
      this.#tls = createTlsServer(
        { ...certificate, ALPNProtocols: ['http/1.1'], handshakeTimeout: SILENCE_TIMEOUT_MS },
        (socket) => {
          this.#whenSpoken(socket, (first) => this.#dispatch(socket, first))
        },
      )
      this.#tls.on('tlsClientError', (_error, socket) => socket.destroy())
    }
  }

  /** Throws PlatformError, for instance EADDRINUSE. */
  static async open(options: FrontDoorOptions): Promise<FrontDoor> {
    const door = new FrontDoor(options)
    const { host, port } = options
    await new Promise<void>((resolve, reject) => {
      door.#server.once('error', (error) => reject(explain(error, port)))
      door.#server.listen({ port, ...(host !== undefined && { host }) }, () => resolve())
    })
    return door
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Connections that said nothing in time, or gave way. */
  get turnedAway(): number {
    return this.#turnedAway
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #welcome(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined) // its end follows
    socket.once('close', () => this.#sockets.delete(socket))
    this.#whenSpoken(socket, (first) => {
      if (first === TLS_HANDSHAKE_BYTE && this.#tls !== undefined) this.#tls.emit('connection', socket)
      else this.#dispatch(socket, first)
    })
  }

  #dispatch(socket: Socket, first: number): void {
    const isHttp = first >= 0x41 && first <= 0x5a
    if (isHttp) {
      this.#http.emit('connection', socket)
      return
    }
    if (first === STUN_BYTE) serveStun(socket)
    else this.#options.onRelay(streamOfSocket(socket), remoteEndpointOf(socket))
  }

  /** Calls back with the first byte, once; it stays in the socket. */
  #whenSpoken(socket: Socket, onSpoken: (first: number) => void): void {
    const turnAway = (): void => {
      this.#turnedAway += 1
      socket.destroy()
    }
    this.#silent.set(socket, setTimeout(turnAway, SILENCE_TIMEOUT_MS))
    const forget = (): void => {
      clearTimeout(this.#silent.get(socket))
      this.#silent.delete(socket)
    }
    socket.once('close', forget)
    socket.once('data', (chunk: Buffer) => {
      forget()
      socket.removeListener('close', forget)
      socket.pause()
      socket.unshift(chunk)
      onSpoken(chunk[0] ?? 0)
      process.nextTick(() => socket.resume())
    })
    socket.on('error', () => undefined)
    if (this.#silent.size <= MAX_SILENT) return
    const [oldest] = this.#silent.keys()
    this.#turnedAway += 1
    oldest?.destroy()
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { onRelay, onControl } = this.#options
    const path = request.url?.split('?')[0]
    socket.on('error', () => undefined)
    if (path !== '/relay' && path !== '/control') {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n')
      return
    }
    const remote = remoteEndpointOf(request.socket)
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      if (path === '/relay') onRelay(streamOfWebSocket(webSocket, request.socket), remote)
      else onControl(webSocket, remote)
    })
  }
}

function explain(error: unknown, port: number): PlatformError {
  const failure = toPlatformError(
    error,
    `cannot listen on TCP port ${port}`,
    'run as root, or choose another with --port',
  )
  if (failure.errno !== 'EADDRINUSE') return failure
  const hint = 'choose another with --port, or end the program that uses it: ss -ltnp'
  const { message, errno, syscall } = failure
  return new PlatformError(message, { errno, syscall, hint, cause: error })
}
