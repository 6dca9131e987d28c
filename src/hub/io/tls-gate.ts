/**
 * TLS handshakes, which cost the server more than the client: so many a second, the sources in turns, and so
 * many at a time, the oldest of the busiest source giving way. Whoever waits for its turn costs no more than
 * a socket.
 */

import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { ShareTable } from '../../base/share-table.js'
import { TokenBucket } from '../../base/token-bucket.js'
import type { SourceKey } from '../../net/source.js'
import type { Stranger } from './admission.js'
import type { Certificate } from './certificate.js'

/** A fifth of a core. */
const HANDSHAKE_LIMIT = { tokensPerS: 200, burst: 100 }
/** About 40 KiB each. */
const MAX_HANDSHAKES = 512
/** Each may have sent what a socket buffers. */
const MAX_WAITING = 512

interface Waiting {
  readonly stranger: Stranger
  readonly onSocket: (socket: TLSSocket) => void
}

export class TlsGate {
  readonly #context: SecureContext
  readonly #nowMs: () => number
  readonly #bucket: TokenBucket
  readonly #waiting = new ShareTable<SourceKey, Waiting>(MAX_WAITING)
  readonly #handshakes = new ShareTable<SourceKey, TLSSocket>(MAX_HANDSHAKES)
  #timer: NodeJS.Timeout | undefined
  #crowdedOut = 0

  constructor(certificate: Certificate, nowMs: () => number) {
    this.#context = createSecureContext(certificate)
    this.#nowMs = nowMs
    this.#bucket = new TokenBucket(HANDSHAKE_LIMIT, nowMs())
  }

  /** Gave way to newer ones. */
  get crowdedOut(): number {
    return this.#crowdedOut
  }

  /** The socket stays paused until its turn. `onSocket`: with a socket whose handshake has begun. */
  enter(stranger: Stranger, onSocket: (socket: TLSSocket) => void): void {
    const waiting = { stranger, onSocket }
    stranger.socket.once('close', () => this.#waiting.delete(waiting))
    this.#crowdOut(this.#waiting.add(stranger.source, waiting)?.stranger.socket)
    this.#serve()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #serve(): void {
    clearTimeout(this.#timer)
    while (this.#waiting.size > 0) {
      if (!this.#bucket.tryTake(1, this.#nowMs())) {
        this.#timer = setTimeout(() => this.#serve(), Math.ceil(this.#bucket.waitMs(1)))
        return
      }
      const next = this.#waiting.shift()
      if (next !== undefined) this.#begin(next)
    }
  }

  #begin({ stranger, onSocket }: Waiting): void {
    const { socket: below, source } = stranger
    stranger.nextStep()
    const socket = new TLSSocket(below, {
      isServer: true,
      secureContext: this.#context,
      ALPNProtocols: ['http/1.1'],
    })
    const end = (): boolean => this.#handshakes.delete(socket)
    socket.on('error', () => below.destroy())
    socket.once('close', end)
    socket.once('data', end)
    this.#crowdOut(this.#handshakes.add(source, socket))
    onSocket(socket)
    process.nextTick(() => below.resume())
  }

  #crowdOut(socket: { destroy(): void } | undefined): void {
    if (socket === undefined) return
    this.#crowdedOut += 1
    socket.destroy()
  }
}
