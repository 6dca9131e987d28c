/**
 * One connection to a relay from its first frame on, in one of the ways that firewalls let through. Several race;
 * one is adopted by a link, and what came to it before counts from then on.
 */

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import type { Identity } from '../../control/identity.js'
import { formatHostEndpoint, type HostEndpoint } from '../../net/endpoint.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import type { AddressCheck } from '../../platform/checked-lookup.js'
import { dial, givenUp } from '../../platform/dial.js'
import { type ByteStream, streamOfSocket, streamOfWebSocket } from '../../relay/io/byte-stream.js'
import { RelayClient, type RelayClientEffect } from '../../relay/relay-client.js'
import { nodeCrypto } from '../../wireguard/crypto-node.js'
import type { PublicKey } from '../../wireguard/keys.js'

/** Which relay, and who wants in. */
export interface RelayAccess {
  readonly endpoint: HostEndpoint
  readonly relayKey: PublicKey
  readonly identity: Identity
  readonly ticket: () => Uint8Array
  readonly nowMs: () => number
  readonly isAllowed: AddressCheck
}

/** The relay tells them apart by their first byte. */
export interface RelayWay {
  readonly isTls: boolean
  readonly isWeb: boolean
  readonly proxy?: HttpProxy
}

/** Whatever a firewall may let through, to be tried one shortly after the other. */
export function relayWays(
  proxy: HttpProxy | undefined,
): (RelayWay & { readonly name: string; readonly delayMs: number })[] {
  const plain = { isTls: false, isWeb: false }
  const web = { isTls: false, isWeb: true }
  const tls = { isTls: true, isWeb: true }
  const straight = [
    { name: 'TCP', delayMs: 0, ...plain },
    { name: 'WebSocket over TLS', delayMs: 120, ...tls },
    { name: 'WebSocket', delayMs: 200, ...web },
  ]
  if (proxy === undefined) return straight
  return [
    ...straight,
    { name: 'TCP through the proxy', delayMs: 40, proxy, ...plain },
    { name: 'WebSocket over TLS through the proxy', delayMs: 160, proxy, ...tls },
    { name: 'WebSocket through the proxy', delayMs: 240, proxy, ...web },
  ]
}

/** Of the link that a connection belongs to. */
export interface ConnectionHandlers {
  readonly onEffects: (effects: readonly RelayClientEffect[]) => void
  readonly onDrain: () => void
  readonly onClosed: () => void
}

/** Done when the relay has answered: a firewall may take a connection and then let nothing through. */
export async function connectRelay(
  access: RelayAccess,
  way: RelayWay,
  signal: AbortSignal,
): Promise<RelayConnection> {
  const { endpoint, isAllowed } = access
  const socket = await dial({ to: endpoint, isTls: way.isTls, proxy: way.proxy, isAllowed, signal })
  const stream = way.isWeb ? await upgrade(socket, endpoint, signal) : streamOfSocket(socket)
  const connection = new RelayConnection(access, stream, way.proxy !== undefined)
  await connection.untilUsable(signal)
  return connection
}

export class RelayConnection {
  readonly client: RelayClient
  readonly stream: ByteStream
  readonly isProxied: boolean
  readonly #nowMs: () => number
  #handlers: ConnectionHandlers | undefined
  #onUsable: () => void = () => undefined
  #onFailed: (error: Error) => void = () => undefined
  /** What came before it was adopted. */
  #early: RelayClientEffect[] = []

  constructor(access: RelayAccess, stream: ByteStream, isProxied: boolean) {
    const { identity, relayKey, ticket, nowMs } = access
    this.client = new RelayClient({
      identity,
      relayKey,
      ticket: ticket(),
      crypto: nodeCrypto,
      random: (length) => new Uint8Array(randomBytes(length)),
    })
    this.stream = stream
    this.isProxied = isProxied
    this.#nowMs = nowMs
    stream.start({
      onBytes: (bytes) => this.#turn((effects) => this.client.handleBytes(bytes, this.#nowMs(), effects)),
      onDrain: () => this.#handlers?.onDrain(),
      onClosed: () => {
        const isProven = this.client.isUsable
        this.#onFailed(
          new Error(isProven ? 'the connection was closed' : 'it ended before the relay proved its key'),
        )
        this.#handlers?.onClosed()
      },
    })
  }

  /** Begins to talk. Rejects if the connection fails before the relay has answered; then it is closed. */
  async untilUsable(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => this.#onFailed(givenUp())
      this.#onUsable = () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      this.#onFailed = (error) => {
        signal.removeEventListener('abort', onAbort)
        if (this.#handlers === undefined) this.stream.close()
        reject(error)
      }
      signal.addEventListener('abort', onAbort)
      this.#turn((effects) => this.client.start(this.#nowMs(), effects))
      if (signal.aborted) onAbort()
    })
  }

  /**
   * It has won: this node says who it is, and whatever comes is the link's. Those that lose a race never say
   * it, so that the relay does not take one of them for the node. Gives the link's first effects.
   */
  adopt(handlers: ConnectionHandlers): readonly RelayClientEffect[] {
    this.#handlers = handlers
    const early = this.#early
    this.#early = []
    this.client.prove(early)
    return early
  }

  #turn(input: (effects: RelayClientEffect[]) => void): void {
    const effects: RelayClientEffect[] = []
    input(effects)
    if (this.#handlers !== undefined) {
      this.#handlers.onEffects(effects)
      return
    }
    for (const effect of effects) {
      if (effect.kind === 'write') this.stream.write(effect.bytes)
      else if (effect.kind === 'usable') this.#onUsable()
      else if (effect.kind === 'failed') this.#onFailed(new Error(`the relay says: ${effect.reason}`))
      else this.#early.push(effect)
    }
  }
}

async function upgrade(raw: Socket, endpoint: HostEndpoint, signal: AbortSignal): Promise<ByteStream> {
  const socket = new WebSocket(`ws://${formatHostEndpoint(endpoint)}/relay`, {
    createConnection: () => raw,
    perMessageDeflate: false,
  })
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.terminate()
      reject(error)
    }
    const onAbort = (): void => fail(givenUp())
    signal.addEventListener('abort', onAbort)
    socket.on('error', fail)
    socket.once('open', () => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
  })
  return streamOfWebSocket(socket, raw)
}
