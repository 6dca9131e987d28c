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
import { IDLE_PING_INTERVAL_MS, type RelayClient, type RelayClientEffect } from '../../relay/relay-client.js'
import type { RelayInboxCounters } from '../../relay/relay-inbox.js'
import type { WakeUp } from '../engine.js'
import { createWakeUp } from '../wake-up.js'
import { type Attempt, race, wasAnswered } from './race.js'
import { Redial, type RedialOrder } from './redial.js'
import { connectRelay, type RelayAccess, type RelayConnection, relayWays } from './relay-connection.js'

const CONNECT_TIMEOUT_MS = 10_000
const FIRST_PAUSE_MS = 50
const MAX_PAUSE_MS = 5000

export interface RelayLinkOptions extends RelayAccess {
  readonly proxy: HttpProxy | undefined
  readonly log: Logger
  /** `identity`: base64. `messages`: the receiver's to keep and change. */
  readonly onMessages: (identity: string, segmentBytes: number, messages: Uint8Array) => void
  /** The peer is not connected to this relay. */
  readonly onPeerGone: (identity: string) => void
  /** As whom the relay sees this node; not told where a proxy stands between. */
  readonly onObserved: (endpoint: Endpoint) => void
  /** It was asked whether it is there, and does not answer as soon as it should: another connection is dialled beside. */
  readonly onSilent: () => void
  /** The relay was in doubt, and has answered: nothing was lost. */
  readonly onCertain: () => void
  /** The relay has let it in. */
  readonly onWelcome: () => void
  readonly onState: () => void
}

export class RelayLink {
  readonly #options: RelayLinkOptions
  readonly #abort = new AbortController()
  readonly #redial: Redial
  readonly #wakeUp: WakeUp
  /** Attempts that run. */
  #dialling = new AbortController()
  #client: RelayClient | undefined
  #stream: ByteStream | undefined
  #isWelcome = false
  #isProxied = false
  #dropped = 0
  #refused = 0
  #limited = 0
  /** How it got through; empty while there is no connection. */
  way = ''
  /** Of the last few pings. */
  rttMs: number | undefined
  /** Mbit/s that the relay lets this node send, Infinity for no limit; undefined while there is no connection. */
  megabits: number | undefined
  /** Why the last connection ended, or could not be made. */
  fault = ''

  constructor(options: RelayLinkOptions) {
    this.#options = options
    this.#redial = new Redial({
      firstPauseMs: FIRST_PAUSE_MS,
      maxPauseMs: MAX_PAUSE_MS,
      // The client asks by itself then. An answer that does not come is a sign as after any other question.
      idleAskMs: IDLE_PING_INTERVAL_MS,
      jitter: Math.random,
    })
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

  /** What is sent now may be lost: the relay was asked whether it is there, and has not answered. */
  get isDoubtful(): boolean {
    return this.#redial.isDoubtful
  }

  /** When it is dialled again; undefined if it is there, or dialled. */
  get retryAtMs(): number | undefined {
    return this.#redial.nextDialMs
  }

  /** Messages that the relay dropped for being over its limit. */
  get overLimit(): number {
    return this.#limited + (this.#client?.overLimit ?? 0)
  }

  /** Frames of the relay that were not taken: see RelayInboxCounters. */
  get refused(): number {
    return this.#refused + sumOf(this.#client?.counters)
  }

  start(): void {
    this.#redial.start(this.#options.nowMs())
    this.#followOrders()
  }

  /** `frame`: messages behind FRAME_HEADROOM_BYTES; handed over. False if nothing can be sent now. */
  send(frame: Uint8Array, identity: string, segmentBytes: number, isControl: boolean): boolean {
    const effects: RelayClientEffect[] = []
    const messages = { identity, frame, headroom: FRAME_HEADROOM_BYTES, segmentBytes, isControl }
    const dropped = this.#client?.send(messages, this.#options.nowMs(), effects)
    if (dropped === undefined) return false
    this.#redial.sent(this.#options.nowMs())
    this.#dropped += dropped
    this.#carryOut(effects)
    return true
  }

  /**
   * The network changed: do not wait any longer. A connection from an address that is gone is given up, any
   * other asked whether it is still alive. `addresses`: of this machine.
   */
  nudge(addresses: readonly IpAddress[]): void {
    const local = this.#stream?.localAddress
    const isGone = local !== undefined && !addresses.some((address) => equalIp(address, local))
    if (isGone) this.#end('the address of this machine is gone')
    this.#redial.networkChanged(this.#options.nowMs())
    this.#followOrders()
  }

  /** A sign that what is between here and the relay is not what it was. */
  doubt(): void {
    this.#redial.doubt(this.#options.nowMs())
    this.#followOrders()
  }

  /** There is another ticket: a session shows it, and a relay that refused the one before is dialled again. */
  renewTicket(): void {
    if (this.#stream === undefined) {
      this.#redial.networkChanged(this.#options.nowMs())
      this.#followOrders()
    } else this.#turn((client, effects) => client.renewTicket(this.#options.ticket(), effects))
  }

  /** Something waits to be sent. */
  want(): void {
    this.#redial.wanted(this.#options.nowMs())
    this.#arm()
  }

  stop(): void {
    this.#abort.abort()
    this.#dialling.abort()
    this.#wakeUp.at(Number.POSITIVE_INFINITY)
    this.#stream?.close()
  }

  #followOrders(): void {
    if (this.#abort.signal.aborted) return
    const { nowMs } = this.#options
    const next = (): RedialOrder | undefined => this.#redial.handleTimeout(nowMs())
    for (let order = next(); order !== undefined; order = next()) {
      if (order === 'dial' && this.#redial.isUp) this.#options.onSilent()
      if (order === 'dial') void this.#connect()
      else if (order === 'ask') this.#ask()
      else this.#end('the relay does not answer any more')
    }
    this.#arm()
  }

  #ask(): void {
    const effects: RelayClientEffect[] = []
    this.#client?.probe(this.#options.nowMs(), effects)
    this.#carryOut(effects)
  }

  async #connect(): Promise<void> {
    const { signal } = this.#dialling
    try {
      const winner = await race(this.#attempts(), {
        timeoutMs: CONNECT_TIMEOUT_MS,
        signal,
        dispose: ({ stream }) => stream.close(),
      })
      if (signal.aborted) winner.value.stream.close()
      else this.#adopt(winner.name, winner.value)
    } catch (error) {
      if (signal.aborted) return
      this.#redial.dialFailed(this.#options.nowMs(), wasAnswered(error))
      this.#tellBroken(error instanceof Error ? error.message : String(error))
    }
    this.#followOrders()
  }

  #attempts(): Attempt<RelayConnection>[] {
    return relayWays(this.#options.proxy).map(({ name, delayMs, ...way }) => ({
      name,
      delayMs,
      run: async (signal) => await connectRelay(this.#options, way, signal),
    }))
  }

  /** Takes the place of the connection before, if that is there still. */
  #adopt(way: string, connection: RelayConnection): void {
    const { client, stream, isProxied } = connection
    this.#stopDialling()
    this.#release()
    this.#redial.cameUp(this.#options.nowMs())
    const early = connection.adopt({
      onEffects: (effects) => {
        if (client === this.#client) this.#handleHeard(effects)
      },
      onDrain: () => {
        if (client === this.#client) this.#handleDrain()
      },
      onClosed: () => {
        if (client === this.#client) this.#end(this.fault === '' ? 'the connection was closed' : this.fault)
        this.#followOrders()
      },
    })
    this.way = way
    this.#isProxied = isProxied
    this.#client = client
    this.#stream = stream
    this.fault = ''
    const first = [...early]
    client.renewTicket(this.#options.ticket(), first) // another may have come while the relay was dialled
    this.#carryOut(first)
    this.#options.onState()
  }

  #stopDialling(): void {
    this.#dialling.abort()
    this.#dialling = new AbortController()
  }

  #handleHeard(effects: readonly RelayClientEffect[]): void {
    const wasDoubtful = this.#redial.isDoubtful
    if (this.#redial.heard(this.#options.nowMs())) this.#stopDialling()
    if (wasDoubtful) this.#options.onCertain()
    this.#carryOut(effects)
  }

  #carryOut(effects: readonly RelayClientEffect[]): void {
    const { onMessages, onPeerGone, onObserved, onWelcome, onState, log } = this.#options
    // Sealed frames leave in the order of their counters: before what is told below makes anybody send.
    for (const effect of effects) {
      if (effect.kind !== 'write') continue
      if (this.#stream?.write(effect.bytes) === false) this.#client?.handleBlocked()
    }
    for (const effect of effects) {
      switch (effect.kind) {
        case 'write':
          break
        case 'welcome':
          this.#isWelcome = true
          this.megabits = effect.megabits
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
          this.#redial.rttMs = this.rttMs
          onState()
          break
        case 'limited':
          log.info('relay.rate_limited', { dropped: effect.dropped })
          break
        case 'failed':
          if (effect.reason !== 'silent') this.#redial.refused(this.#options.nowMs(), undefined)
          this.#end(`the relay says: ${effect.reason}`)
          this.#followOrders()
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
    this.#client?.handleDrained(this.#options.nowMs(), (bytes) => this.#stream?.write(bytes) === false)
  }

  #turn(input: (client: RelayClient, effects: RelayClientEffect[]) => void): void {
    const effects: RelayClientEffect[] = []
    if (this.#client !== undefined) input(this.#client, effects)
    this.#carryOut(effects)
    this.#followOrders()
  }

  #arm(): void {
    if (this.#abort.signal.aborted) return
    const clientMs = this.#client?.nextDeadlineMs() ?? Number.POSITIVE_INFINITY
    this.#wakeUp.at(Math.min(clientMs, this.#redial.nextDeadlineMs()))
  }

  /** The connection is of no use any more. */
  #end(reason: string): void {
    this.#release()
    this.#isWelcome = false
    this.rttMs = undefined
    this.way = ''
    this.#redial.broken(this.#options.nowMs())
    this.#tellBroken(reason)
  }

  #release(): void {
    const stream = this.#stream
    this.#refused = this.refused
    this.#limited = this.overLimit
    this.#client = undefined
    this.#stream = undefined
    this.megabits = undefined
    stream?.close()
  }

  /** If it is: an attempt beside a good connection may fail unheard. */
  #tellBroken(reason: string): void {
    if (this.#redial.isUp) return
    this.fault = reason
    if (this.#abort.signal.aborted) return
    this.#options.log.info('relay.broken', { relay: formatHostEndpoint(this.#options.endpoint), reason })
    this.#options.onState()
  }
}

function sumOf(counters: RelayInboxCounters | undefined): number {
  return Object.values(counters ?? {}).reduce((sum, count) => sum + count, 0)
}
