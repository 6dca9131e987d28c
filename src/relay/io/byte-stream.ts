/** One shape for what carries relay frames: TCP, TLS, and WebSocket. */

import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Endpoint } from '../../net/endpoint.js'
import { type IpAddress, tryParseIp } from '../../net/ip.js'

/** What may wait in a stream before `write` says that it is full: the outbox behind it orders the rest. */
export const STREAM_BUFFER_BYTES: number = 128 * 1024
/** What one stream may bring before others have their turn; a fast sender fills every read. */
const TURN_BYTES: number = 128 * 1024
const V4_MAPPED = '::ffff:'
const CLOSE_TIMEOUT_MS = 1000

interface StreamHandlers {
  readonly onBytes: (bytes: Uint8Array) => void
  readonly onDrain: () => void
  /** Once; also after `close`. */
  readonly onClosed: () => void
}

export interface ByteStream {
  /** From which it is connected; undefined if that is not known. */
  readonly localAddress: IpAddress | undefined
  /** False if it is full now: onDrain will be called. The bytes are taken in any case. */
  write(bytes: Uint8Array): boolean
  /** What is written in `work` leaves in one go. */
  batch(work: () => void): void
  /** After what was written is out, within a second. */
  close(): void
  /** At once; what was written may be lost. */
  abort(): void
  /** Starts the flow of bytes. */
  start(handlers: StreamHandlers): void
}

export function streamOfSocket(socket: Socket): ByteStream {
  socket.setNoDelay(true)
  return {
    localAddress: addressOf(socket.localAddress),
    write: (bytes) => socket.write(bytes),
    batch(work) {
      socket.cork()
      work()
      socket.uncork()
    },
    close() {
      socket.end()
      setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS).unref()
    },
    abort: () => socket.destroy(),
    start({ onBytes, onDrain, onClosed }) {
      socket.on('data', inTurns(socket, onBytes))
      socket.on('drain', onDrain)
      socket.on('error', () => undefined) // its end follows
      socket.once('close', onClosed)
      socket.resume()
    },
  }
}

/** Messages are cut as the writes were; whoever reads takes them for a stream. */
export function streamOfWebSocket(socket: WebSocket, below: Socket): ByteStream {
  let isFull = false
  let drained: () => void = () => undefined
  const onSent = (): void => {
    if (!isFull || socket.bufferedAmount > 0) return
    isFull = false
    drained()
  }
  return {
    localAddress: addressOf(below.localAddress),
    write(bytes) {
      socket.send(bytes, onSent)
      isFull = socket.bufferedAmount > STREAM_BUFFER_BYTES
      return !isFull
    },
    batch: (work) => work(),
    close() {
      socket.close()
      setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS).unref()
    },
    abort: () => socket.terminate(),
    start({ onBytes, onDrain, onClosed }) {
      drained = onDrain
      const read = inTurns(socket, onBytes)
      socket.on('message', (data) => {
        if (data instanceof Buffer) read(data)
      })
      socket.on('error', () => undefined) // its end follows
      socket.once('close', onClosed)
    },
  }
}

/**
 * Reads as fast as others have their turn in between. Without it, the system's loop reads megabytes of one socket
 * before it looks at the next, and whoever wants to say hello waits for all that is relayed meanwhile.
 */
function inTurns(
  source: { pause(): unknown; resume(): unknown },
  onBytes: (bytes: Uint8Array) => void,
): (bytes: Uint8Array) => void {
  let turnBytes = 0
  return (bytes) => {
    if (turnBytes === 0) {
      setImmediate(() => {
        turnBytes = 0
        source.resume()
      })
    }
    turnBytes += bytes.length
    if (turnBytes >= TURN_BYTES) source.pause()
    onBytes(bytes)
  }
}

/** The far end of a connection; all zero if it is gone already. */
export function remoteEndpointOf(socket: Socket): Endpoint {
  const { remoteAddress, remotePort = 0 } = socket
  const address = addressOf(remoteAddress) ?? { family: 4, bytes: new Uint8Array(4) }
  return { address, port: remotePort, scopeId: 0 }
}

/** A v4 address of a v6 socket as what it is; without a zone. */
function addressOf(text = ''): IpAddress | undefined {
  const plain = text.startsWith(V4_MAPPED) ? text.slice(V4_MAPPED.length) : text
  return tryParseIp(plain.split('%')[0] ?? '')
}
