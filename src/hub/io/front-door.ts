/**
 * One TCP port for everything: the first byte of a connection tells TLS (0x16), HTTP (an upper case
 * letter) and STUN (0) from plain relay frames, so that a hub needs no second port where a firewall lets through one.
 *
 * Until somebody takes a connection over, admission.ts bounds their number and time.
 */

import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { PlatformError } from '../../base/errors.js'
import { MAX_NODE_MESSAGE_BYTES } from '../../control/messages.js'
import type { Endpoint } from '../../net/endpoint.js'
import { bootNowMs } from '../../platform/clock.js'
import { toPlatformError } from '../../platform/system-error.js'
import {
  type ByteStream,
  STREAM_BUFFER_BYTES,
  streamOfSocket,
  streamOfWebSocket,
} from '../../relay/io/byte-stream.js'
import { Admission, type Stranger } from './admission.js'
import type { Certificate } from './certificate.js'
import { StunStreams } from './stun-stream.js'
import { TlsGate } from './tls-gate.js'

const TLS_HANDSHAKE_BYTE = 0x16
/** Requests of STUN begin with two zero bits and their class. */
const STUN_BYTE = 0
const MAX_HEADER_BYTES = 8192
const SEAL_BYTES = 16
/** By path: what is buffered for whoever has proven nothing yet. */
const MAX_MESSAGE_BYTES: Readonly<Record<string, number>> = {
  '/relay': 128 * 1024,
  '/control': MAX_NODE_MESSAGE_BYTES + SEAL_BYTES,
}

export interface FrontDoorOptions {
  /** Undefined for all addresses. */
  readonly host: string | undefined
  readonly port: number
  /** Undefined: TLS is not spoken. */
  readonly certificate: Certificate | undefined
  /** Both mind from then on how long it may take who has not proven anything yet. */
  readonly onRelay: (stream: ByteStream, remote: Endpoint) => void
  readonly onControl: (socket: WebSocket, remote: Endpoint) => void
  /** For each thing that a connection is waited for, and half of what a questioner of STUN has; for tests. */
  readonly stepTimeoutMs?: number
}

export class FrontDoor {
  readonly #options: FrontDoorOptions
  readonly #server: Server
  readonly #http: HttpServer
  readonly #tls: TlsGate | undefined
  readonly #webSockets: ReadonlyMap<string, WebSocketServer>
  readonly #sockets = new Set<Socket>()
  readonly #admission: Admission
  readonly #stun: StunStreams
  /** By the socket that HTTP sees. */
  readonly #strangers = new WeakMap<Duplex, Stranger>()

  private constructor(options: FrontDoorOptions) {
    this.#options = options
    const { stepTimeoutMs } = options
    this.#admission = new Admission(stepTimeoutMs)
    this.#stun = new StunStreams(stepTimeoutMs && 2 * stepTimeoutMs)
    this.#server = createServer({ noDelay: true, highWaterMark: STREAM_BUFFER_BYTES }, (socket) =>
      this.#welcome(socket),
    )
    // It never listens, so its own timers never start: time is what the admission gives.
    this.#http = createHttpServer({ maxHeaderSize: MAX_HEADER_BYTES }, (_request, response) => {
      response.writeHead(404, { 'Content-Type': 'text/plain', Connection: 'close' })
      response.end('an overlay hub\n')
    })
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#webSockets = new Map(
      Object.entries(MAX_MESSAGE_BYTES).map(([path, maxPayload]) => [
        path,
        new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload }),
      ]),
    )
    const { certificate } = options
    if (certificate !== undefined) this.#tls = new TlsGate(certificate, bootNowMs)
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

  /** Connections that nobody has taken over yet. */
  get strangers(): number {
    return this.#admission.size
  }

  /** Connections that did not do in time what they were waited for, or gave way. */
  get turnedAway(): number {
    const { late, crowdedOut } = this.#admission.counters
    return late + crowdedOut + this.#stun.crowdedOut + (this.#tls?.crowdedOut ?? 0)
  }

  async close(): Promise<void> {
    this.#tls?.stop()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #welcome(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined) // its end follows
    socket.once('close', () => this.#sockets.delete(socket))
    const stranger = this.#admission.enter(socket)
    whenSpoken(socket, (first) => {
      stranger.nextStep()
      if (first !== TLS_HANDSHAKE_BYTE || this.#tls === undefined) {
        this.#dispatch(socket, first, stranger)
        return
      }
      this.#tls.enter(stranger, (inside) => {
        whenSpoken(inside, (second) => {
          stranger.nextStep()
          this.#dispatch(inside, second, stranger)
        })
      })
    })
  }

  /** `socket`: the stranger's, or the one inside TLS. */
  #dispatch(socket: Socket, first: number, stranger: Stranger): void {
    const isHttp = first >= 0x41 && first <= 0x5a
    if (isHttp) {
      this.#strangers.set(socket, stranger)
      this.#http.emit('connection', socket)
    } else {
      stranger.leave()
      if (first === STUN_BYTE) this.#stun.serve(socket, stranger.remote)
      else this.#options.onRelay(streamOfSocket(socket), stranger.remote)
    }
    process.nextTick(() => socket.resume())
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { onRelay, onControl } = this.#options
    const [path = ''] = request.url?.split('?') ?? []
    const webSockets = this.#webSockets.get(path)
    const stranger = this.#strangers.get(socket)
    socket.on('error', () => undefined)
    if (stranger === undefined || webSockets === undefined) {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n')
      return
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      stranger.leave()
      webSocket.on('error', () => undefined) // its end follows; whoever gets it may let it go at once
      if (path === '/relay') onRelay(streamOfWebSocket(webSocket, request.socket), stranger.remote)
      else onControl(webSocket, stranger.remote)
    })
  }
}

/** Calls back with the first byte, once; it stays in the socket, which is paused. */
function whenSpoken(socket: Socket, onSpoken: (first: number) => void): void {
  socket.once('data', (chunk: Buffer) => {
    socket.pause()
    socket.unshift(chunk)
    onSpoken(chunk[0] ?? 0)
  })
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
