/**
 * A node's connection to one relay: connects in whatever way gets through, keeps it alive, comes back after
 * it broke. What cannot leave at once waits in an outbox, control ahead of data.
 */

import type { Logger } from '../../base/log.js'
import { FRAME_HEADROOM_BYTES } from '../../dataplane/contract.js'
import { type Endpoint, formatHostEndpoint } from '../../net/endpoint.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import { equalIp, type IpAddress } from '../../net/ip.js'
import { smooth } from '../../paths/known-paths.js'
import type { ByteStream } from '../../relay/io/byte-stream.js'
import { Outbox } from '../../relay/outbox.js'
import type { RelayClient, RelayClientEffect } from '../../relay/relay-client.js'
import type { WakeUp } from '../engine.js'
import { createWakeUp } from '../wake-up.js'
import { type Attempt, race } from './race.js'
import { connectRelay, type RelayAccess, type RelayConnection, type RelayWay } from './relay-connection.js'

const CONNECT_TIMEOUT_MS = 10_000
const FIRST_PAUSE_MS = 50
const MAX_PAUSE_MS = 5000

export interface RelayLinkOptions extends RelayAccess {
  readonly proxy: HttpProxy | undefined
  readonly log: Logger
  /** `messages`: the receiver's to keep and change. */
  readonly onMessages: (identity: Uint8Array, segmentBytes: number, messages: Uint8Array) => void
  /** The peer is not connected to this relay. */
  readonly onPeerGone: (identity: Uint8Array) => void
  /** As whom the relay sees this node; not told where a proxy stands between. */
  readonly onObserved: (endpoint: Endpoint) => void
  /** The relay has let it in. */
  readonly onWelcome: () => void
  readonly onState: () => void
}

export class RelayLink {
  readonly #options: RelayLinkOptions
  readonly #abort = new AbortController()
  readonly #wakeUp: WakeUp
  readonly #outbox = new Outbox()
  #client: RelayClient | undefined
  #stream: ByteStream | undefined
  #isFull = false
  #isWelcome = false
  #isConnecting = false
  #isProxied = false
  #pauseMs = FIRST_PAUSE_MS
  #pauseTimer: NodeJS.Timeout | undefined
  #dropped = 0
  /** How it got through; empty while there is no connection. */
  way = ''
  /** Of the last few pings. */
  rttMs: number | undefined
  /** Why the last connection ended, or could not be made. */
  fault = ''

  constructor(options: RelayLinkOptions) {
    this.#options = options
    this.#wakeUp = createWakeUp(options.nowMs, () => {
      this.#turn((client, effects) => client.handleTimeout(options.nowMs(), effects))
    })
  }

  /** The relay has let it in. */
  get isConnected(): boolean {
    return this.#isWelcome
  }

  /** Messages that gave way in the queue. */
  get dropped(): number {
    return this.#dropped
  }

  start(): void {
    void this.#connect()
  }

  /** `frame`: messages behind FRAME_HEADROOM_BYTES; handed over. False if nothing can be sent now. */
  send(frame: Uint8Array, identity: Uint8Array, segmentBytes: number, isControl: boolean): boolean {
    const to = { identity, segmentBytes }
    const bytes = this.#client?.encode(frame, FRAME_HEADROOM_BYTES, to, this.#options.nowMs())
    if (bytes === undefined || this.#stream === undefined) return false
    if (this.#isFull) this.#dropped += this.#outbox.push(bytes, isControl)
    else this.#isFull = !this.#stream.write(bytes)
    this.#arm()
    return true
  }

  /**
   * The network changed: do not wait any longer. A connection from an address that is gone is given up, any
   * other asked whether it is still alive. `addresses`: of this machine.
   */
  nudge(addresses: readonly IpAddress[]): void {
    this.#pauseMs = FIRST_PAUSE_MS
    const local = this.#stream?.localAddress
    if (local !== undefined && !addresses.some((address) => equalIp(address, local))) {
      this.#stream?.abort()
      return
    }
    if (this.#stream === undefined) {
      clearTimeout(this.#pauseTimer)
      void this.#connect()
      return
    }
    this.#turn((client, effects) => client.probe(this.#options.nowMs(), effects))
  }

  stop(): void {
    this.#abort.abort()
    clearTimeout(this.#pauseTimer)
    this.#wakeUp.at(Number.POSITIVE_INFINITY)
    this.#stream?.close()
  }

  async #connect(): Promise<void> {
    if (this.#isConnecting || this.#abort.signal.aborted) return
    this.#isConnecting = true
    try {
      const winner = await race(this.#attempts(), {
        timeoutMs: CONNECT_TIMEOUT_MS,
        signal: this.#abort.signal,
        dispose: ({ stream }) => stream.close(),
      })
      this.way = winner.name
      this.#isProxied = winner.value.isProxied
      this.#adopt(winner.value)
    } catch (error) {
      this.#broken(error instanceof Error ? error.message : String(error))
    } finally {
      this.#isConnecting = false
    }
  }

  /** Whatever the firewall lets through. */
  #attempts(): Attempt<RelayConnection>[] {
    const { proxy } = this.#options
    const ways: (RelayWay & { readonly name: string; readonly delayMs: number })[] = [
      { name: 'TCP', isTls: false, isWeb: false, delayMs: 0 },
      { name: 'WebSocket over TLS', isTls: true, isWeb: true, delayMs: 120 },
      { name: 'WebSocket', isTls: false, isWeb: true, delayMs: 200 },
    ]
    if (proxy !== undefined) {
      ways.push(
        { name: 'TCP through the proxy', isTls: false, isWeb: false, proxy, delayMs: 40 },
        { name: 'WebSocket over TLS through the proxy', isTls: true, isWeb: true, proxy, delayMs: 160 },
        { name: 'WebSocket through the proxy', isTls: false, isWeb: true, proxy, delayMs: 240 },
      )
    }
    return ways.map(({ name, delayMs, ...way }) => ({
      name,
      delayMs,
      run: async (signal) => await connectRelay(this.#options, way, signal),
    }))
  }

  #adopt(connection: RelayConnection): void {
    const { client, stream } = connection
    const early = connection.adopt({
      onEffects: (effects) => this.#carryOut(effects),
      onDrain: () => this.#handleDrain(),
      onClosed: () => this.#handleClosed(client),
    })
    this.#client = client
    this.#stream = stream
    this.#isFull = false
    this.fault = ''
    this.#arm()
    this.#options.onState()
    this.#carryOut(early)
  }

  #carryOut(effects: readonly RelayClientEffect[]): void {
    const { onMessages, onPeerGone, onObserved, onWelcome, onState, log } = this.#options
    for (const effect of effects) {
      switch (effect.kind) {
        case 'write':
          this.#isFull = this.#stream?.write(effect.bytes) === false || this.#isFull
          break
        case 'welcome':
          this.#isWelcome = true
          this.#pauseMs = FIRST_PAUSE_MS
          onWelcome()
          break
        case 'messages':
          onMessages(effect.identity, effect.segmentBytes, effect.messages)
          break
        case 'peerGone':
          onPeerGone(effect.identity)
          break
        case 'rtt':
          this.rttMs = smooth(this.rttMs, effect.ms)
          onState()
          break
        case 'rateLimited':
          log.info('relay.rate_limited', { delayMs: effect.delayMs })
          break
        case 'failed':
          this.fault = `the relay says: ${effect.reason}`
          this.#stream?.close()
          this.#broken(this.fault)
          break
        case 'observed':
          if (!this.#isProxied) onObserved(effect.endpoint)
          break
        case 'usable':
          break
      }
    }
    this.#arm()
  }

  #handleDrain(): void {
    this.#isFull = false
    for (let next = this.#outbox.shift(); next !== undefined; next = this.#outbox.shift()) {
      if (this.#stream?.write(next) !== false) continue
      this.#isFull = true
      return
    }
  }

  #handleClosed(client: RelayClient): void {
    if (client === this.#client) this.#broken(this.fault === '' ? 'the connection was closed' : this.fault)
  }

  #turn(input: (client: RelayClient, effects: RelayClientEffect[]) => void): void {
    if (this.#client === undefined) return
    const effects: RelayClientEffect[] = []
    input(this.#client, effects)
    this.#carryOut(effects)
  }

  #arm(): void {
    this.#wakeUp.at(this.#client?.nextDeadlineMs() ?? Number.POSITIVE_INFINITY)
  }

  #broken(reason: string): void {
    this.#client = undefined
    this.#stream = undefined
    this.#isWelcome = false
    this.rttMs = undefined
    this.way = ''
    this.fault = reason
    if (this.#abort.signal.aborted) return
    this.#options.log.info('relay.broken', { relay: formatHostEndpoint(this.#options.endpoint), reason })
    this.#options.onState()
    const pauseMs = this.#pauseMs * (0.75 + Math.random() / 2)
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.#pauseMs)
    clearTimeout(this.#pauseTimer)
    this.#pauseTimer = setTimeout(() => void this.#connect(), pauseMs)
  }
}
