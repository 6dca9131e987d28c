/**
 * A node's control session with its hub: connects in whatever way gets through, proves the node, keeps the
 * session alive, and comes back after it broke.
 */

import { WebSocket } from 'ws'
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
  tryDecodeMessage,
} from '../../control/messages.js'
import { NoiseInitiator, type NoiseSession } from '../../control/noise-nk.js'
import type { SignedTunnelKeys } from '../../control/tunnel-key.js'
import { formatHostEndpoint, type HostEndpoint } from '../../net/endpoint.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import { equalIp, type IpAddress, tryParseIp } from '../../net/ip.js'
import { dial } from '../../platform/dial.js'
import type { Crypto, RandomBytes } from '../../wireguard/crypto.js'
import type { PublicKey } from '../../wireguard/keys.js'
import { type Attempt, race } from './race.js'

const CONNECT_TIMEOUT_MS = 10_000
/** Plain first: it is a round trip shorter where it gets through. */
const TLS_DELAY_MS = 150
const PING_INTERVAL_MS = 20_000
const SILENCE_TIMEOUT_MS = 45_000
const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 15_000
/** Of the name of a run: no two of one node have the same. */
const RUN_BYTES = 8
const MAX_PAYLOAD_BYTES: number = 128 * 1024

export interface HubLinkOptions {
  readonly hub: HostEndpoint
  readonly hubKey: PublicKey
  readonly identity: Identity
  readonly proxy: HttpProxy | undefined
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly log: Logger
  /** As they are at the time of a hello. */
  readonly hello: () => SignedTunnelKeys & {
    readonly localPrefixes: readonly string[]
    readonly secret?: string
    readonly name?: string
  }
  readonly onMessage: (message: HubMessage) => void
  readonly onState: (state: HubLinkState) => void
}

export type HubLinkState =
  | { readonly kind: 'connecting' }
  /** `way`: how it got through. */
  | { readonly kind: 'connected'; readonly way: string }
  | { readonly kind: 'broken'; readonly reason: string }

export class HubLink {
  readonly #options: HubLinkOptions
  readonly #abort = new AbortController()
  readonly #run: string
  #socket: WebSocket | undefined
  #session: NoiseSession | undefined
  #pauseMs = FIRST_PAUSE_MS
  #pauseTimer: NodeJS.Timeout | undefined
  #pingTimer: NodeJS.Timeout | undefined
  #lastReceiveMs = 0
  #isConnecting = false
  #localAddress = ''

  constructor(options: HubLinkOptions) {
    this.#options = options
    this.#run = formatHex(options.random(RUN_BYTES))
  }

  start(): void {
    void this.#connect()
  }

  /** False if there is no session: the message is lost. */
  send(message: NodeMessage): boolean {
    const session = this.#session
    const socket = this.#socket
    if (session === undefined || socket === undefined || socket.readyState !== socket.OPEN) return false
    socket.send(session.seal(encodeMessage(message)))
    return true
  }

  /**
   * The network changed: waiting any longer makes no sense, and a connection from an address that is gone is
   * dead. `addresses`: of this machine.
   */
  nudge(addresses: readonly IpAddress[]): void {
    this.#pauseMs = FIRST_PAUSE_MS
    const local = tryParseIp(this.#localAddress)
    if (this.#socket === undefined) {
      clearTimeout(this.#pauseTimer)
      void this.#connect()
    } else if (local !== undefined && !addresses.some((address) => equalIp(address, local))) {
      this.#socket.terminate()
    } else this.#probe()
  }

  stop(): void {
    this.#abort.abort()
    clearTimeout(this.#pauseTimer)
    clearInterval(this.#pingTimer)
    this.#socket?.close()
    setTimeout(() => this.#socket?.terminate(), 500).unref()
    this.#session?.wipe()
    this.#session = undefined
  }

  async #connect(): Promise<void> {
    if (this.#isConnecting || this.#abort.signal.aborted) return
    this.#isConnecting = true
    this.#options.onState({ kind: 'connecting' })
    try {
      const winner = await race(this.#attempts(), {
        timeoutMs: CONNECT_TIMEOUT_MS,
        signal: this.#abort.signal,
        dispose: ({ socket }) => socket.terminate(),
      })
      this.#begin(winner.name, winner.value)
    } catch (error) {
      this.#broken(error instanceof Error ? error.message : String(error))
    } finally {
      this.#isConnecting = false
    }
  }

  #attempts(): Attempt<Established>[] {
    const { proxy } = this.#options
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
      run: async (signal) => await establish(this.#options, { isTls, proxy: through, signal }),
    }))
  }

  #begin(way: string, { socket, session, localAddress }: Established): void {
    if (this.#abort.signal.aborted) {
      socket.terminate()
      return
    }
    this.#socket = socket
    this.#localAddress = localAddress
    this.#session = session
    this.#lastReceiveMs = performance.now()
    socket.removeAllListeners('close')
    socket.removeAllListeners('message')
    socket.on('message', (data) => {
      if (data instanceof Buffer) this.#handleBytes(data)
    })
    socket.once('close', () => this.#broken('the hub closed the connection'))
    this.#pingTimer = setInterval(() => this.#probe(), PING_INTERVAL_MS)
    this.send(this.#createHello(session))
    this.#options.onState({ kind: 'connected', way })
  }

  #createHello(session: NoiseSession): Hello {
    const { identity, hello } = this.#options
    const { tunnelKey, previousTunnelKey, localPrefixes, secret, name } = hello()
    return {
      type: 'hello',
      version: 1,
      identity: identity.text,
      proof: formatBase64(identity.sign(PROOF_LABEL, session.handshakeHash)),
      tunnelKey,
      ...(previousTunnelKey !== undefined && { previousTunnelKey }),
      run: this.#run,
      localPrefixes,
      ...(secret !== undefined && { secret }),
      ...(name !== undefined && { name }),
    }
  }

  #probe(): void {
    if (performance.now() - this.#lastReceiveMs > SILENCE_TIMEOUT_MS) this.#socket?.terminate()
    else this.send({ type: 'ping' })
  }

  #handleBytes(bytes: Uint8Array): void {
    const plain = this.#session?.open(bytes)
    const message = plain && tryDecodeMessage(hubMessage, plain)
    if (message === undefined) {
      this.#options.log.warn('hub.malformed', { bytes: bytes.length })
      this.#socket?.terminate()
      return
    }
    this.#lastReceiveMs = performance.now()
    if (message.type === 'welcome') this.#pauseMs = FIRST_PAUSE_MS
    // Nothing is won by asking again soon.
    if (message.type === 'refused') this.#pauseMs = MAX_PAUSE_MS
    this.#options.onMessage(message)
  }

  #broken(reason: string): void {
    clearInterval(this.#pingTimer)
    this.#session?.wipe()
    this.#session = undefined
    this.#socket = undefined
    if (this.#abort.signal.aborted) return
    this.#options.onState({ kind: 'broken', reason })
    const pauseMs = this.#pauseMs * (0.75 + Math.random() / 2)
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.#pauseMs)
    this.#pauseTimer = setTimeout(() => void this.#connect(), pauseMs)
  }
}

interface Established {
  readonly socket: WebSocket
  readonly session: NoiseSession
  readonly localAddress: string
}

/** Connected, and whoever answers holds the hub's key. */
async function establish(
  { hub, hubKey, crypto, random }: HubLinkOptions,
  way: { readonly isTls: boolean; readonly proxy: HttpProxy | undefined; readonly signal: AbortSignal },
): Promise<Established> {
  const { signal } = way
  const raw = await dial({ to: hub, isTls: way.isTls, proxy: way.proxy, signal })
  const socket = new WebSocket(`ws://${formatHostEndpoint(hub)}/control`, {
    createConnection: () => raw,
    perMessageDeflate: false,
    maxPayload: MAX_PAYLOAD_BYTES,
  })
  const initiator = NoiseInitiator.tryCreate({ crypto, random, prologue: 'overlay control v1' }, hubKey)
  return await new Promise<Established>((resolve, reject) => {
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', onAbort)
      socket.terminate()
      reject(error)
    }
    const onAbort = (): void => fail(new Error('given up'))
    signal.addEventListener('abort', onAbort)
    socket.on('error', fail)
    socket.once('close', () => fail(new Error('the connection was closed')))
    socket.once('open', () => {
      if (initiator !== undefined) socket.send(initiator.message)
      else fail(new Error('the hub key in the file is no key'))
    })
    socket.once('message', (data) => {
      const session = data instanceof Buffer ? initiator?.finish(data) : undefined
      signal.removeEventListener('abort', onAbort)
      if (session !== undefined) resolve({ socket, session, localAddress: raw.localAddress ?? '' })
      else fail(new Error('whoever answers does not hold the key of the hub'))
    })
    if (signal.aborted) onAbort()
  })
}
