/**
 * One attempt to reach a node over TCP: learns as whom servers see a local port of ours, and connects from
 * that port. The connection to the server stays, so that the NAT remembers the port.
 *
 * That several connections leave from one port takes SO_REUSEADDR, which Node sets on every port it binds.
 */

import { randomBytes } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import type { Endpoint } from '../../net/endpoint.js'
import { formatIp } from '../../net/ip.js'
import {
  decodeStun,
  encodeBindingRequest,
  isBinding,
  mappedEndpoint,
  TRANSACTION_ID_BYTES,
} from '../../paths/stun.js'

const ANSWER_TIMEOUT_MS = 1500
/** Some routers answer whoever comes too early with a reset, and the next attempt goes through. */
const RETRY_AFTER_MS = [50, 100, 200, 400, 800] as const
const MAX_ANSWER_BYTES = 548
/** Of one family: one of them may be dead. */
const MAX_SERVERS = 2

export class TcpPunch {
  readonly #sockets = new Set<Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #port = 0
  #isEnded = false

  /** Our end as servers see it, for each family of which one answers. */
  async prepare(servers: readonly Endpoint[]): Promise<Endpoint[]> {
    this.#port = await freePort()
    const seen = await Promise.all(
      ([4, 6] as const).map(async (family) => {
        const chosen = servers.filter(({ address }) => address.family === family).slice(0, MAX_SERVERS)
        return await this.#askAll(chosen)
      }),
    )
    return seen.flatMap((endpoint) => endpoint ?? [])
  }

  /** `onSocket` is called once, if it comes to a connection. */
  dial(to: Endpoint, onSocket: (socket: Socket) => void, attempt = 0): void {
    const socket = this.#connect(to)
    let isConnected = false
    socket.once('connect', () => {
      isConnected = true
      this.#sockets.delete(socket)
      onSocket(socket)
    })
    socket.once('close', () => {
      const waitMs = RETRY_AFTER_MS[attempt]
      if (isConnected || this.#isEnded || waitMs === undefined) return
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        this.dial(to, onSocket, attempt + 1)
      }, waitMs)
      this.#timers.add(timer)
    })
  }

  /** What is not connected by now will not be. */
  end(): void {
    this.#isEnded = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const socket of this.#sockets) socket.destroy()
  }

  #connect({ address, port }: Endpoint): Socket {
    const socket = connect({ host: formatIp(address), port, localPort: this.#port, noDelay: true })
    this.#sockets.add(socket)
    socket.on('error', () => undefined) // its end follows
    socket.on('close', () => this.#sockets.delete(socket))
    return socket
  }

  /** What the first one says that answers. */
  async #askAll(servers: readonly Endpoint[]): Promise<Endpoint | undefined> {
    const answers = servers.map(async (server) => {
      const endpoint = await this.#ask(server)
      if (endpoint === undefined) throw new Error('no answer')
      return endpoint
    })
    return await Promise.any(answers).catch(() => undefined)
  }

  /** Undefined if it does not answer in time. */
  async #ask(server: Endpoint): Promise<Endpoint | undefined> {
    if (this.#isEnded) return undefined
    const socket = this.#connect(server)
    const transactionId = new Uint8Array(randomBytes(TRANSACTION_ID_BYTES))
    return await new Promise((resolve) => {
      const timer = setTimeout(() => socket.destroy(), ANSWER_TIMEOUT_MS)
      const settle = (endpoint?: Endpoint): void => {
        clearTimeout(timer)
        resolve(endpoint)
      }
      let answer: Uint8Array = new Uint8Array(0)
      socket.once('connect', () => socket.write(encodeBindingRequest(transactionId)))
      socket.once('close', () => settle())
      socket.on('data', (chunk: Buffer) => {
        answer = Buffer.concat([answer, chunk])
        const message = decodeStun(answer)
        const isOurs =
          message?.class === 'success' &&
          isBinding(message) &&
          Buffer.compare(message.transactionId, transactionId) === 0
        if (isOurs) settle(mappedEndpoint(message))
        else if (answer.length > MAX_ANSWER_BYTES) socket.destroy()
      })
    })
  }
}

/** Of the system's choice; of no use to anybody else for the moment. */
async function freePort(): Promise<number> {
  const server = createServer()
  return await new Promise((resolve) => {
    server.once('error', () => resolve(0))
    server.listen(0, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
