/** Drives a Relay over real connections. Listening is done by src/hub/io/front-door.ts. */

import type { Endpoint } from '../../net/endpoint.js'
import { FrameReader } from '../frame-reader.js'
import { Relay, type RelayOptions, type RelayTotals } from '../relay.js'
import type { ClientId, RelayEffect } from '../relay-session.js'
import type { ByteStream } from './byte-stream.js'

const SWEEP_INTERVAL_MS = 500

export class RelayServer {
  readonly #relay: Relay
  readonly #nowMs: () => number
  readonly #streams = new Map<ClientId, ByteStream>()
  readonly #sweep: NodeJS.Timeout
  #nextId = 1

  constructor(options: RelayOptions, nowMs: () => number) {
    this.#relay = new Relay(options)
    this.#nowMs = nowMs
    this.#sweep = setInterval(() => {
      const effects: RelayEffect[] = []
      this.#relay.handleTimeout(this.#nowMs(), effects)
      this.#carryOut(effects)
    }, SWEEP_INTERVAL_MS)
    this.#sweep.unref()
  }

  get clientCount(): number {
    return this.#relay.clientCount
  }

  totals(): RelayTotals {
    return this.#relay.totals()
  }

  accept(stream: ByteStream, remote: Endpoint): void {
    const id = this.#nextId++
    const reader = new FrameReader()
    this.#streams.set(id, stream)
    stream.start({
      onBytes: (chunk) => {
        const effects: RelayEffect[] = []
        reader.push(chunk, (frame) => this.#relay.handleFrame(id, frame, this.#nowMs(), effects))
        this.#carryOut(effects)
        if (reader.waitingBytes > this.#relay.maxBodyBytes(id)) stream.abort()
      },
      onDrain: () => {
        stream.batch(() => this.#relay.handleDrained(id, (bytes) => !stream.write(bytes)))
      },
      onClosed: () => {
        this.#streams.delete(id)
        const effects: RelayEffect[] = []
        this.#relay.handleClosed(id, effects)
        this.#carryOut(effects)
      },
    })
    const effects: RelayEffect[] = []
    this.#relay.handleConnected(id, remote, this.#nowMs(), effects)
    this.#carryOut(effects)
  }

  /** See Relay.handleDirectoryChange. */
  handleDirectoryChange(revoked: ReadonlySet<string>): void {
    const effects: RelayEffect[] = []
    this.#relay.handleDirectoryChange(revoked, effects)
    this.#carryOut(effects)
  }

  stop(): void {
    clearInterval(this.#sweep)
    for (const stream of this.#streams.values()) stream.close()
  }

  #carryOut(effects: readonly RelayEffect[]): void {
    const byClient = new Map<ClientId, RelayEffect[]>()
    for (const effect of effects) {
      const list = byClient.get(effect.client)
      if (list === undefined) byClient.set(effect.client, [effect])
      else list.push(effect)
    }
    for (const [id, list] of byClient) this.#carryOutFor(id, list)
  }

  /** What goes to one client leaves in one system call. */
  #carryOutFor(id: ClientId, effects: readonly RelayEffect[]): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    let isFull = false
    stream.batch(() => {
      for (const effect of effects) {
        if (effect.kind === 'write') isFull = !stream.write(effect.bytes) || isFull
      }
    })
    if (isFull) this.#relay.handleBlocked(id)
    if (effects.some((effect) => effect.kind === 'close')) stream.close()
  }
}
