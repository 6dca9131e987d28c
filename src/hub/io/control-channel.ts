/**
 * Control connections between two processes of one hub: the one that listens for the world brings them over a
 * unix socket to the one that decides, each on a connection of its own.
 *
 * | what | when |
 * | endpoint 18 | first: the far end, as the listening process sees it (net/endpoint-bytes.ts) |
 * | length 4, big-endian · message | from then on, both ways |
 *
 * INVARIANT: what does not flow on waits at its origin. A node that does not read makes `bufferedAmount` of its
 * own channel grow, and nobody else's.
 */

import { chmodSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import type { Endpoint } from '../../net/endpoint.js'
import { ENDPOINT_BYTES, tryDecodeEndpoint } from '../../net/endpoint-bytes.js'
import { removeFile } from '../../platform/run-directory.js'
import { toPlatformError } from '../../platform/system-error.js'

const LENGTH_BYTES = 4
const SOCKET_MODE = 0o600
const CLOSE_TIMEOUT_MS = 1000
/** Of one message: what a WebSocket of the front door lets through. */
const MAX_MESSAGE_BYTES: number = 128 * 1024

export interface ChannelHandlers {
  readonly onMessage: (message: Buffer) => void
  /** What was written is out; undefined if nobody waits for that. */
  readonly onDrain?: () => void
  /** Once; also after `close`. */
  readonly onClosed: () => void
}

/** One control connection, with its messages whole. */
export class ControlChannel {
  readonly #socket: Socket
  #waiting: Buffer

  /** `waiting`: bytes of the socket that were read already. */
  constructor(socket: Socket, waiting: Buffer) {
    this.#socket = socket
    this.#waiting = waiting
    socket.on('error', () => undefined) // its end follows
  }

  /** Bytes that were sent and did not leave, because the far end does not read. */
  get bufferedAmount(): number {
    return this.#socket.writableLength
  }

  /** False if it should wait for onDrain; the message is taken in any case. */
  send(message: Uint8Array): boolean {
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUInt32BE(message.length)
    this.#socket.cork()
    this.#socket.write(length)
    const isFree = this.#socket.write(message)
    this.#socket.uncork()
    return isFree
  }

  /** After what was sent, within a second. */
  close(): void {
    this.#socket.end()
    setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS).unref()
  }

  /** At once. */
  terminate(): void {
    this.#socket.destroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Starts the flow of messages. */
  start({ onMessage, onDrain, onClosed }: ChannelHandlers): void {
    const socket = this.#socket
    const read = (): void => {
      for (let message = this.#tryTake(); message !== undefined; message = this.#tryTake()) onMessage(message)
    }
    socket.on('data', (chunk: Buffer) => {
      this.#waiting = this.#waiting.length === 0 ? chunk : Buffer.concat([this.#waiting, chunk])
      read()
    })
    if (onDrain !== undefined) socket.on('drain', onDrain)
    socket.once('close', onClosed)
    read()
    socket.resume()
  }

  #tryTake(): Buffer | undefined {
    if (this.#waiting.length < LENGTH_BYTES || this.#socket.destroyed) return undefined
    const end = LENGTH_BYTES + this.#waiting.readUInt32BE()
    if (end > LENGTH_BYTES + MAX_MESSAGE_BYTES) {
      this.#socket.destroy()
      return undefined
    }
    if (this.#waiting.length < end) return undefined
    const message = this.#waiting.subarray(LENGTH_BYTES, end)
    this.#waiting = this.#waiting.subarray(end)
    return message
  }
}

export interface ChannelListener {
  /** Takes no more of them; those that are there end by themselves. */
  stop(): Promise<void>
}

/**
 * `path`: in a directory that is closed to other users; nobody else listens there. Throws PlatformError.
 */
export async function listenForChannels(
  path: string,
  onChannel: (channel: ControlChannel, remote: Endpoint) => void,
): Promise<ChannelListener> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined) // its end follows
    let head = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk])
      if (head.length < ENDPOINT_BYTES) return
      socket.removeListener('data', onData)
      socket.pause()
      const remote = tryDecodeEndpoint(head, 0)
      if (remote === undefined) socket.destroy()
      else onChannel(new ControlChannel(socket, head.subarray(ENDPOINT_BYTES)), remote)
    }
    socket.on('data', onData)
  })
  removeFile(path)
  await listen(server, path)
  return {
    async stop() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      removeFile(path)
    },
  }
}

async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(toPlatformError(error, `cannot listen on ${path}`, 'run as root')))
    server.listen(path, () => {
      chmodSync(path, SOCKET_MODE)
      resolve()
    })
  })
}
