/**
 * A control session with a hub, of a node or of a relay: connects in whatever way gets through, keeps the session
 * alive, and comes back after it broke.
 */

import type { WebSocket } from 'ws'
import type { z } from 'zod'
import { formatBase64, formatHex } from '../../base/bytes.js'
import type { Logger } from '../../base/log.js'
import type { Identity } from '../../control/identity.js'
import {
  encodeMessage,
  type Hello,
  type HubMessage,
  hubMessage,
  type NodeMessage,
  PROOF_LABEL,
  type Refusal,
  tryDecodeMessage,
} from '../../control/messages.js'
import type { NoiseSession } from '../../control/noise-nk.js'
import type { SignedTunnelKeys } from '../../control/tunnel-key.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import { equalIp, type IpAddress, tryParseIp } from '../../net/ip.js'
import { smooth } from '../../paths/known-paths.js'
import type { PublicKey } from '../../wireguard/keys.js'
import type { WakeUp } from '../engine.js'
import { createWakeUp } from '../wake-up.js'
import { connectHub, type HubAccess, type HubConnection, UNPROVEN } from './hub-connection.js'
import { type Attempt, race, wasAnswered } from './race.js'
import { Redial, type RedialOrder } from './redial.js'

const CONNECT_TIMEOUT_MS = 10_000
/** Plain first: it is a round trip shorter where it gets through. */
const TLS_DELAY_MS = 150
const PING_INTERVAL_MS = 20_000
const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 15_000
/** Of the name of a run: no two of one node have the same. */
const RUN_BYTES = 8

/** What is spoken in a session: by a node, or by a relay. */
export interface ControlProtocol<M> {
  readonly schema: z.ZodType<M>
  readonly createHello: (handshakeHash: Uint8Array) => NodeMessage
  /** The hub answers it with a message of the type `answer`. */
  readonly createPing: () => NodeMessage
  readonly answer: string
  readonly refusalOf: (message: M) => Refusal | undefined
}

export interface ControlLinkOptions<M> extends Omit<HubAccess, 'hubKey'> {
  /** That the hub may answer with, the newest first: one after the other is tried. */
  readonly hubKeys: () => readonly PublicKey[]
  readonly proxy: HttpProxy | undefined
  readonly nowMs: () => number
  readonly log: Logger
  readonly onMessage: (message: M) => void
  readonly onState: (state: HubLinkState) => void
}

export interface HubLinkOptions extends ControlLinkOptions<HubMessage> {
  readonly identity: Identity
  /** As they are at the time of a hello. */
  readonly hello: () => SignedTunnelKeys & {
    readonly localPrefixes: readonly string[]
    readonly secret?: string
    readonly name?: string
    readonly isNameAsked?: boolean
  }
}

export type HubLinkState =
  | { readonly kind: 'connecting' }
  /** `way`: how it got through. */
  | { readonly kind: 'connected'; readonly way: string }
  | { readonly kind: 'broken'; readonly reason: string }

export class ControlLink<M extends { readonly type: string }> {
  readonly #options: ControlLinkOptions<M>
  readonly #protocol: ControlProtocol<M>
  readonly #abort = new AbortController()
  readonly #redial: Redial
  readonly #wakeUp: WakeUp
  /** Attempts that run. */
  #dialling = new AbortController()
  #socket: WebSocket | undefined
  #session: NoiseSession | undefined
  #askedMs: number | undefined
  #localAddress = ''
  #fault = ''
  /** Connections that failed since one was made: whose key is next. */
  #failures = 0

  constructor(options: ControlLinkOptions<M>, protocol: ControlProtocol<M>) {
    this.#options = options
    this.#protocol = protocol
    this.#redial = new Redial({
      firstPauseMs: FIRST_PAUSE_MS,
      maxPauseMs: MAX_PAUSE_MS,
      idleAskMs: PING_INTERVAL_MS,
      jitter: Math.random,
    })
    this.#wakeUp = createWakeUp(options.nowMs, () => this.#turn())
  }

  /** When it is dialled again; undefined if it is there, or dialled. */
  get retryAtMs(): number | undefined {
    return this.#redial.nextDialMs
  }

  start(): void {
    this.#options.onState({ kind: 'connecting' })
    this.#redial.start(this.#options.nowMs())
    this.#turn()
  }

  /** False if there is no session: the message is lost. */
  send(message: NodeMessage): boolean {
    const session = this.#session
    const socket = this.#socket
    if (session === undefined || socket === undefined || socket.readyState !== socket.OPEN) {
      if (message.type === 'signal') this.#redial.wanted(this.#options.nowMs())
      this.#wakeUp.at(this.#redial.nextDeadlineMs())
      return false
    }
    socket.send(session.seal(encodeMessage(message)))
    return true
  }

  /**
   * The network changed: waiting any longer makes no sense, and a connection from an address that is gone is
   * dead. `addresses`: of this machine.
   */
  nudge(addresses: readonly IpAddress[]): void {
    const local = tryParseIp(this.#localAddress)
    const isGone = local !== undefined && !addresses.some((address) => equalIp(address, local))
    if (this.#socket !== undefined && isGone) this.#end('the address of this machine is gone')
    this.#redial.networkChanged(this.#options.nowMs())
    this.#turn()
  }

  /** A sign that what is between here and the hub is not what it was. */
  doubt(): void {
    this.#redial.doubt(this.#options.nowMs())
    this.#turn()
  }

  stop(): void {
    this.#abort.abort()
    this.#dialling.abort()
    this.#wakeUp.at(Number.POSITIVE_INFINITY)
    const socket = this.#socket
    socket?.close()
    setTimeout(() => socket?.terminate(), 500).unref()
    this.#session?.wipe()
    this.#session = undefined
  }

  /** Carries out what is due. */
  #turn(): void {
    if (this.#abort.signal.aborted) return
    const { nowMs } = this.#options
    const next = (): RedialOrder | undefined => this.#redial.handleTimeout(nowMs())
    for (let order = next(); order !== undefined; order = next()) {
      if (order === 'dial') void this.#connect()
      else if (order === 'ask') this.#ask()
      else this.#end('the hub does not answer any more')
    }
    this.#wakeUp.at(this.#redial.nextDeadlineMs())
  }

  #ask(): void {
    this.#askedMs = this.#options.nowMs()
    this.send(this.#protocol.createPing())
  }

  async #connect(): Promise<void> {
    const { signal } = this.#dialling
    try {
      const winner = await race(this.#attempts(), {
        timeoutMs: CONNECT_TIMEOUT_MS,
        signal,
        dispose: ({ socket }) => socket.terminate(),
      })
      if (signal.aborted) winner.value.socket.terminate()
      else this.#begin(winner.name, winner.value)
    } catch (error) {
      if (signal.aborted) return
      this.#failures += 1
      this.#redial.dialFailed(this.#options.nowMs(), wasAnswered(error))
      const reason = error instanceof Error ? error.message : String(error)
      this.#tellBroken(reason.includes(UNPROVEN) ? `${reason}; ${UNPROVEN_HINT}` : reason)
    }
    this.#turn()
  }

  #attempts(): Attempt<HubConnection>[] {
    const { proxy, hubKeys } = this.#options
    const keys = hubKeys()
    const hubKey = keys[this.#failures % Math.max(1, keys.length)]
    const ways: { name: string; isTls: boolean; through: HttpProxy | undefined; delayMs: number }[] = [
      { name: 'websocket', isTls: false, through: undefined, delayMs: 0 },
      { name: 'websocket over TLS', isTls: true, through: undefined, delayMs: TLS_DELAY_MS },
    ]
    if (proxy !== undefined) {
      ways.push(
        { name: 'websocket through the proxy', isTls: false, through: proxy, delayMs: 50 },
        { name: 'websocket over TLS through the proxy', isTls: true, through: proxy, delayMs: TLS_DELAY_MS },
      )
    }
    return ways.map(({ name, isTls, through, delayMs }) => ({
      name,
      delayMs,
      run: async (signal) =>
        await connectHub({ ...this.#options, hubKey }, { isTls, proxy: through, signal }),
    }))
  }

  /** Takes the place of the connection before, if that is there still. */
  #begin(way: string, { socket, session, localAddress }: HubConnection): void {
    this.#failures = 0
    this.#stopDialling()
    this.#release()
    this.#redial.cameUp(this.#options.nowMs())
    this.#socket = socket
    this.#localAddress = localAddress
    this.#session = session
    this.#fault = 'the hub closed the connection'
    socket.removeAllListeners('close')
    socket.removeAllListeners('message')
    socket.on('message', (data) => {
      if (data instanceof Buffer && socket === this.#socket) this.#handleBytes(data)
    })
    socket.once('close', () => {
      if (socket === this.#socket) this.#end(this.#fault)
      this.#turn()
    })
    this.send(this.#protocol.createHello(session.handshakeHash))
    this.#options.onState({ kind: 'connected', way })
  }

  #stopDialling(): void {
    this.#dialling.abort()
    this.#dialling = new AbortController()
  }

  #handleBytes(bytes: Uint8Array): void {
    const { nowMs, log, onMessage } = this.#options
    const plain = this.#session?.open(bytes)
    const message = plain && tryDecodeMessage(this.#protocol.schema, plain)
    if (message === undefined) {
      log.warn('hub.malformed', { bytes: bytes.length })
      this.#end('the hub says what cannot be understood')
      this.#turn()
      return
    }
    if (message.type === this.#protocol.answer && this.#askedMs !== undefined) {
      this.#redial.rttMs = smooth(this.#redial.rttMs, nowMs() - this.#askedMs)
    }
    if (this.#redial.heard(nowMs())) this.#stopDialling()
    this.#askedMs = undefined
    const refusal = this.#protocol.refusalOf(message)
    if (refusal !== undefined) {
      const { retryAfterS } = refusal
      this.#redial.refused(nowMs(), retryAfterS === undefined ? undefined : 1000 * retryAfterS)
      this.#fault = refusal.message
    }
    onMessage(message)
    this.#turn()
  }

  /** The connection is of no use any more. */
  #end(reason: string): void {
    this.#release()
    this.#redial.broken(this.#options.nowMs())
    this.#tellBroken(reason)
  }

  #release(): void {
    this.#session?.wipe()
    this.#session = undefined
    this.#socket?.terminate()
    this.#socket = undefined
    this.#askedMs = undefined
  }

  /** If it is: an attempt beside a good connection may fail unheard. */
  #tellBroken(reason: string): void {
    if (this.#redial.isUp || this.#abort.signal.aborted) return
    this.#options.onState({ kind: 'broken', reason })
  }
}

/** A node's session. */
export class HubLink extends ControlLink<HubMessage> {
  constructor(options: HubLinkOptions) {
    const run = formatHex(options.random(RUN_BYTES))
    super(options, {
      schema: hubMessage,
      createHello: (handshakeHash) => createHello(options, run, handshakeHash),
      createPing: () => ({ type: 'ping' }),
      answer: 'pong',
      refusalOf: (message) => (message.type === 'refused' ? message : undefined),
    })
  }
}

function createHello({ identity, hello }: HubLinkOptions, run: string, handshakeHash: Uint8Array): Hello {
  const { tunnelKey, previousTunnelKey, localPrefixes, secret, name, isNameAsked } = hello()
  return {
    type: 'hello',
    version: 1,
    identity: identity.text,
    proof: formatBase64(identity.sign(PROOF_LABEL, handshakeHash)),
    tunnelKey,
    ...(previousTunnelKey !== undefined && { previousTunnelKey }),
    run,
    localPrefixes,
    ...(secret !== undefined && { secret }),
    ...(name !== undefined && { name }),
    ...(isNameAsked !== undefined && { isNameAsked }),
  }
}

const UNPROVEN_HINT =
  'it is busy, or its key was changed while this node was away: ' +
  'then sudo overlay down NETWORK, and with a new token: sudo overlay join --new-key'
