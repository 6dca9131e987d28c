/**
 * Drives a Hub over the control connections of its nodes: a Noise session in each, messages sealed inside.
 *
 * INVARIANT: whoever is not a member has a deadline and a share of a bounded table, also while it is let go; what
 * it makes the hub compute waits for its turn (stranger-work.ts). Who is a member has a budget.
 */

import { ShareTable } from '../../base/share-table.js'
import { TokenBucket } from '../../base/token-bucket.js'
import type { DirectoryMessage, RelayMessage } from '../../control/directory.js'
import {
  encodeMessage,
  type HubMessage,
  MAX_NODE_MESSAGE_BYTES,
  nodeMessage,
  tryDecodeMessage,
} from '../../control/messages.js'
import { type NoiseSession, respondNoise } from '../../control/noise-nk.js'
import type { Endpoint } from '../../net/endpoint.js'
import { formatIp } from '../../net/ip.js'
import { type SourceKey, sourceOf } from '../../net/source.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../../wireguard/crypto.js'
import type { HubEffect, SessionId } from '../effects.js'
import type { Hub } from '../hub.js'
import { SessionOutbox } from '../session-outbox.js'
import type { ControlChannel } from './control-channel.js'
import { StrangerWork } from './stranger-work.js'

/** For each thing that a stranger has to say; the time that the hub takes for it does not count. */
const STEP_TIMEOUT_MS = 5000
/** A node pings every 20 s. */
const SILENCE_TIMEOUT_MS = 70_000
/** A node that takes nothing for so long, though something waits for it, is gone. */
const STALL_TIMEOUT_MS = 60_000
/** What may lie in a socket; what comes then waits in an outbox, where it is merged. */
const MAX_BUFFERED_BYTES: number = 64 * 1024
/** For a relay: a whole directory of a large network and more. */
const MAX_RELAY_BACKLOG_BYTES: number = 32 * 1024 * 1024
const SEAL_BYTES = 16
/** Of all sources. */
const MAX_STRANGERS = 2048
/** Of one connection, before it is a member's: hello, and what a node says on its heels. */
const MAX_EARLY_MESSAGES = 32
/** Of one member, of any kind: what each kind may cost is the hub's to say. */
const MESSAGE_LIMIT = { tokensPerS: 100, burst: 2000 }

export interface ControlServerOptions {
  readonly hub: Hub
  readonly crypto: Crypto
  readonly random: RandomBytes
  /** That sessions may be made with, the newest first. */
  readonly keys: () => readonly DhPrivateKey[]
  readonly nowMs: () => number
  readonly onDirectory: (message: DirectoryMessage) => void
  /** What a message asked for failed. */
  readonly onFault: (error: unknown) => void
}

interface Connection {
  readonly id: SessionId
  readonly socket: ControlChannel
  readonly source: SourceKey
  /** Where it comes from, as text. */
  readonly from: string
  session: NoiseSession | undefined
  timer: NodeJS.Timeout
  readonly bucket: TokenBucket
  readonly outbox: SessionOutbox
  /** When the outbox was not empty first, since something left it last. */
  stalledAtMs: number
  /** Messages that wait for their turn. */
  waiting: number
  isEnding: boolean
}

export class ControlServer {
  readonly #options: ControlServerOptions
  readonly #connections = new Map<SessionId, Connection>()
  readonly #strangers = new ShareTable<SourceKey, Connection>(MAX_STRANGERS)
  readonly #work: StrangerWork
  /** A change goes to many: its bytes are made once. */
  readonly #encoded = new WeakMap<HubMessage | RelayMessage, Uint8Array>()
  #nextId = 1
  #crowdedOut = 0
  #rateLimited = 0

  constructor(options: ControlServerOptions) {
    this.#options = options
    this.#work = new StrangerWork(options.nowMs)
  }

  /** Members that said too much. */
  get rateLimited(): number {
    return this.#rateLimited
  }

  /** Connections that are no member's. */
  get strangers(): number {
    return this.#strangers.size
  }

  /** Strangers that gave way to newer ones. */
  get crowdedOut(): number {
    return this.#crowdedOut + this.#work.dropped
  }

  accept(socket: ControlChannel, remote: Endpoint): void {
    const connection: Connection = {
      id: this.#nextId++,
      socket,
      source: sourceOf(remote.address),
      from: formatIp(remote.address),
      session: undefined,
      timer: setTimeout(() => socket.terminate(), STEP_TIMEOUT_MS),
      bucket: new TokenBucket(MESSAGE_LIMIT, this.#options.nowMs()),
      outbox: new SessionOutbox(),
      stalledAtMs: Number.POSITIVE_INFINITY,
      waiting: 0,
      isEnding: false,
    }
    this.#connections.set(connection.id, connection)
    const givesWay = this.#strangers.add(connection.source, connection)
    if (givesWay !== undefined) {
      this.#crowdedOut += 1
      givesWay.socket.terminate()
    }
    socket.start({
      onMessage: (message) => this.#receive(connection, message),
      onDrain: () => this.#flush(connection),
      onClosed: () => this.#closed(connection),
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

  /** The same where nobody waits for what becomes of it: false if it failed. One fault ends no other session. */
  attempt(change: (effects: HubEffect[]) => void): boolean {
    try {
      this.carryOut(change)
      return true
    } catch (error) {
      this.#options.onFault(error)
      return false
    }
  }

  stop(): void {
    for (const { socket, timer } of this.#connections.values()) {
      clearTimeout(timer)
      socket.terminate()
    }
  }

  // --- what comes in ---------------------------------------------------------------------------

  #receive(connection: Connection, bytes: Uint8Array): void {
    if (connection.isEnding) return
    if (connection.waiting === 0 && !this.#strangers.has(connection)) {
      this.#handleMember(connection, bytes)
      return
    }
    if (connection.waiting >= MAX_EARLY_MESSAGES) {
      this.#options.hub.counters.malformed += 1
      this.#end(connection)
      return
    }
    connection.waiting += 1
    if (this.#strangers.has(connection)) clearTimeout(connection.timer)
    this.#work.submit(connection.source, {
      run: () => {
        connection.waiting -= 1
        if (connection.isEnding) return
        if (this.#strangers.has(connection)) this.#handleStranger(connection, bytes)
        else this.#handleMember(connection, bytes)
      },
      drop: () => this.#end(connection),
    })
  }

  #handleStranger(connection: Connection, bytes: Uint8Array): void {
    const { hub } = this.#options
    const { socket } = connection
    if (connection.waiting === 0) this.#waitFor(connection, STEP_TIMEOUT_MS)
    if (connection.session === undefined) {
      const response = this.#respond(bytes)
      if (response === undefined) {
        hub.counters.malformed += 1
        this.#end(connection)
        return
      }
      connection.session = response.session
      socket.send(response.answer)
      return
    }
    this.#handleMessage(connection, bytes)
    if (!hub.isMember(connection.id)) return
    this.#strangers.delete(connection)
    this.#waitFor(connection, SILENCE_TIMEOUT_MS)
  }

  #respond(bytes: Uint8Array): ReturnType<typeof respondNoise> {
    const { crypto, random, keys } = this.#options
    for (const key of keys()) {
      const response = respondNoise({ crypto, random, prologue: 'overlay control v1' }, key, bytes)
      if (response !== undefined) return response
    }
    return undefined
  }

  #handleMember(connection: Connection, bytes: Uint8Array): void {
    connection.timer.refresh()
    if (connection.bucket.tryTake(1, this.#options.nowMs())) {
      this.#handleMessage(connection, bytes)
      return
    }
    this.#rateLimited += 1
    const { hub } = this.#options
    if (!this.attempt((effects) => hub.handleFlood(connection.id, effects))) this.#end(connection)
  }

  #handleMessage(connection: Connection, bytes: Uint8Array): void {
    const { hub } = this.#options
    const { id, session, from } = connection
    const isTooLong = bytes.length > MAX_NODE_MESSAGE_BYTES + SEAL_BYTES
    const plain = isTooLong ? undefined : session?.open(bytes)
    const message = plain && tryDecodeMessage(nodeMessage, plain)
    if (message === undefined || session === undefined) {
      hub.counters.malformed += 1
      this.#end(connection)
      return
    }
    const { handshakeHash } = session
    const isDone = this.attempt((effects) => hub.handleMessage(id, message, { handshakeHash, from }, effects))
    if (!isDone) this.#end(connection)
  }

  #closed(connection: Connection): void {
    clearTimeout(connection.timer)
    connection.isEnding = true
    this.#connections.delete(connection.id)
    this.#strangers.delete(connection)
    connection.session?.wipe()
    this.attempt((effects) => this.#options.hub.handleClosed(connection.id, effects))
  }

  #waitFor(connection: Connection, timeoutMs: number): void {
    clearTimeout(connection.timer)
    connection.timer = setTimeout(() => this.#end(connection), timeoutMs)
  }

  #end(connection: Connection): void {
    connection.isEnding = true
    connection.socket.terminate()
  }

  // --- what goes out ---------------------------------------------------------------------------

  #perform(effect: HubEffect): void {
    if (effect.kind === 'directory') {
      this.#options.onDirectory(effect.message)
      return
    }
    const connection = this.#connections.get(effect.session)
    if (connection === undefined || connection.isEnding) return
    if (effect.kind === 'close') {
      connection.isEnding = true
      connection.socket.close()
      return
    }
    const { outbox, socket } = connection
    if (effect.kind === 'tellRelay') {
      // One that does not keep up comes back, and hears the whole anew.
      if (socket.bufferedAmount > MAX_RELAY_BACKLOG_BYTES) this.#end(connection)
      else this.#send(connection, this.#bytesOf(effect.message))
      return
    }
    const { message } = effect
    if (message.type === 'refused' || (outbox.isEmpty && socket.bufferedAmount <= MAX_BUFFERED_BYTES)) {
      this.#send(connection, this.#bytesOf(message))
      return
    }
    const nowMs = this.#options.nowMs()
    if (outbox.isEmpty) connection.stalledAtMs = nowMs
    this.#options.hub.counters.droppedSignals += outbox.push(message)
    if (nowMs - connection.stalledAtMs > STALL_TIMEOUT_MS) this.#end(connection)
  }

  #flush(connection: Connection): void {
    const { outbox, socket } = connection
    if (connection.isEnding || outbox.isEmpty) return
    connection.stalledAtMs = this.#options.nowMs()
    while (socket.bufferedAmount <= MAX_BUFFERED_BYTES) {
      const message = outbox.shift()
      if (message === undefined) return
      this.#send(connection, encodeMessage(message))
    }
  }

  #send({ session, socket }: Connection, bytes: Uint8Array): void {
    if (session !== undefined) socket.send(session.seal(bytes))
  }

  #bytesOf(message: HubMessage | RelayMessage): Uint8Array {
    const known = this.#encoded.get(message)
    if (known !== undefined) return known
    const bytes = encodeMessage(message)
    this.#encoded.set(message, bytes)
    return bytes
  }
}
