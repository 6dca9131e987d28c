/** Drives a Hub over the control connections of its nodes: a Noise session in each, messages sealed inside. */

import { TokenBucket } from '../../base/token-bucket.js'
import type { DirectoryMessage } from '../../control/directory.js'
import {
  encodeMessage,
  type HubMessage,
  MAX_MESSAGE_BYTES,
  nodeMessage,
  tryDecodeMessage,
} from '../../control/messages.js'
import { type NoiseSession, respondNoise } from '../../control/noise-nk.js'
import type { Endpoint } from '../../net/endpoint.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../../wireguard/crypto.js'
import { RateLimiter } from '../../wireguard/rate-limiter.js'
import type { HubEffect, SessionId } from '../effects.js'
import type { Hub } from '../hub.js'
import type { ControlChannel } from './control-channel.js'

/** From the connection to a valid hello. */
const HELLO_TIMEOUT_MS = 5000
/** A node pings every 20 s. */
const SILENCE_TIMEOUT_MS = 70_000
/** A node that does not read is let go before it fills the memory. */
const MAX_BUFFERED_BYTES: number = 4 * 1024 * 1024
const SEAL_BYTES = 16
/** Of one source: a building full of nodes may come back at once, a flood may not. */
const HANDSHAKES_PER_S = 200
const HANDSHAKE_BURST = 1000
/** Connections of all sources without a valid message yet; the oldest give way. */
const MAX_UNPROVEN = 4096
/** Of one node: what it says goes to many. */
const MESSAGES_PER_S = 100
const MESSAGE_BURST = 2000

export interface ControlServerOptions {
  readonly hub: Hub
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly key: DhPrivateKey
  readonly nowMs: () => number
  readonly onDirectory: (message: DirectoryMessage) => void
  /** What a message asked for failed. */
  readonly onFault: (error: unknown) => void
}

interface Connection {
  readonly socket: ControlChannel
  session: NoiseSession | undefined
  timer: NodeJS.Timeout
  /** Messages that it may still send. */
  readonly bucket: TokenBucket
}

export class ControlServer {
  readonly #options: ControlServerOptions
  readonly #connections = new Map<SessionId, Connection>()
  readonly #limiter = new RateLimiter({ tokensPerS: HANDSHAKES_PER_S, burst: HANDSHAKE_BURST })
  /** A change goes to many: its bytes are made once. */
  readonly #encoded = new WeakMap<HubMessage, Uint8Array>()
  readonly #unproven = new Set<Connection>()
  #nextId = 1
  #rateLimited = 0

  constructor(options: ControlServerOptions) {
    this.#options = options
  }

  get rateLimited(): number {
    return this.#rateLimited
  }

  accept(socket: ControlChannel, remote: Endpoint): void {
    if (!this.#limiter.isAllowed(remote.address, this.#options.nowMs())) {
      this.#rateLimited += 1
      socket.terminate()
      return
    }
    const id = this.#nextId++
    const timer = setTimeout(() => socket.terminate(), HELLO_TIMEOUT_MS)
    const connection: Connection = {
      socket,
      session: undefined,
      timer,
      bucket: new TokenBucket({ tokensPerS: MESSAGES_PER_S, burst: MESSAGE_BURST }, this.#options.nowMs()),
    }
    this.#connections.set(id, connection)
    this.#unproven.add(connection)
    if (this.#unproven.size > MAX_UNPROVEN) this.#endOldest()
    socket.start({
      onMessage: (message) => this.#handleBytes(id, connection, message),
      onClosed: () => {
        clearTimeout(connection.timer)
        this.#connections.delete(id)
        this.#unproven.delete(connection)
        connection.session?.wipe()
        this.carryOut((effects) => this.#options.hub.handleClosed(id, effects))
      },
    })
  }

  /** Whatever changes the hub: its effects leave from here. */
  carryOut<T>(change: (effects: HubEffect[]) => T): T {
    const effects: HubEffect[] = []
    const result = change(effects)
    this.#options.hub.tellRelays(effects)
    for (const effect of effects) this.#perform(effect)
    return result
  }

  stop(): void {
    for (const { socket, timer } of this.#connections.values()) {
      clearTimeout(timer)
      socket.terminate()
    }
  }

  #handleBytes(id: SessionId, connection: Connection, bytes: Uint8Array): void {
    const { crypto, random, key, hub } = this.#options
    const { session, socket } = connection
    if (session === undefined) {
      const response = respondNoise({ crypto, random, prologue: 'overlay control v1' }, key, bytes)
      if (response === undefined) {
        hub.counters.malformed += 1
        socket.terminate()
        return
      }
      connection.session = response.session
      socket.send(response.answer)
      return
    }
    const isTooLong = bytes.length > MAX_MESSAGE_BYTES + SEAL_BYTES
    const plain = isTooLong ? undefined : session.open(bytes)
    const message = plain && tryDecodeMessage(nodeMessage, plain)
    if (message === undefined) {
      hub.counters.malformed += 1
      socket.terminate()
      return
    }
    if (!connection.bucket.tryTake(1, this.#options.nowMs())) {
      this.#rateLimited += 1
      socket.terminate()
      return
    }
    this.#unproven.delete(connection)
    connection.timer = this.#renew(connection)
    try {
      this.carryOut((effects) => hub.handleMessage(id, message, session.handshakeHash, effects))
    } catch (error) {
      // The store failed, most likely: a full disk must not end the sessions of all others.
      this.#options.onFault(error)
      socket.terminate()
    }
  }

  #endOldest(): void {
    const [oldest] = this.#unproven
    if (oldest === undefined) return
    this.#unproven.delete(oldest)
    this.#rateLimited += 1
    oldest.socket.terminate()
  }

  #renew({ socket, timer }: Connection): NodeJS.Timeout {
    clearTimeout(timer)
    return setTimeout(() => socket.terminate(), SILENCE_TIMEOUT_MS)
  }

  #perform(effect: HubEffect): void {
    if (effect.kind === 'directory') {
      this.#options.onDirectory(effect.message)
      return
    }
    const connection = this.#connections.get(effect.session)
    if (connection === undefined) return
    const { socket, session } = connection
    if (effect.kind === 'close') {
      socket.close()
      return
    }
    if (session === undefined || socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      socket.terminate()
      return
    }
    socket.send(session.seal(this.#bytesOf(effect.message)))
  }

  #bytesOf(message: HubMessage): Uint8Array {
    const known = this.#encoded.get(message)
    if (known !== undefined) return known
    const bytes = encodeMessage(message)
    this.#encoded.set(message, bytes)
    return bytes
  }
}
