/**
 * A second try between two easy NATs, from a port of ours that the peer's NAT has never heard of. Sans-IO.
 *
 * Routers that answer what nobody asked for keep that as a flow of their own: what should then leave for there
 * takes another port, as does all that the same socket begins after that, and pings never meet. So a fresh socket
 * learns its port from a server, opens our NAT by a datagram that does not come as far as the peer's, and the port is told.
 * The peer pings it from its data socket, as we do with the one that it tells; and, as its data socket may have
 * had the same fate, from its own fresh socket too.
 */

import type { Path } from '../net/path.js'
import type { HardEffect, HardSearchOptions } from './hard-search.js'
import { OwnPort } from './own-port.js'
import { FIRST_HOPS } from './search-schedule.js'

export const FRESH_SOCKETS = 1
/** After the peer has told its port. */
const PING_AT_MS = [0, 100, 300] as const
const TIME_LIMIT_MS = 700

export class FreshPort {
  readonly #options: HardSearchOptions
  readonly #ownPort: OwnPort
  readonly #endMs: number
  #socket: number | undefined
  /** Our NAT, for the fresh socket, towards the port that the peer has told. */
  #isOpen = false
  #told: { readonly port: number; readonly atMs: number; pings: number } | undefined
  #isDone = false

  /** `told`: where the peer is to be pinged. */
  constructor(options: HardSearchOptions, told: number | undefined, nowMs: number) {
    const { stunServer, random } = options
    this.#options = options
    this.#ownPort = new OwnPort(stunServer, random)
    this.#endMs = nowMs + TIME_LIMIT_MS
    if (told !== undefined) this.handlePeerPorts([told, told], nowMs)
  }

  get isDone(): boolean {
    return this.#isDone
  }

  stop(): void {
    this.#ownPort.stop()
    this.#told = undefined
  }

  nextDeadlineMs(): number {
    const ping = this.#told && PING_AT_MS[this.#told.pings]
    const pingMs = this.#told && ping !== undefined ? this.#told.atMs + ping : Number.POSITIVE_INFINITY
    return Math.min(this.#endMs, this.#ownPort.nextDeadlineMs(), pingMs)
  }

  handleSockets([socket]: readonly number[], nowMs: number): void {
    if (socket === undefined) return
    this.#socket = socket
    this.#ownPort.ask(socket, nowMs)
  }

  handlePeerPorts([port]: readonly [former: number, latter: number], nowMs: number): void {
    this.#told = { port, atMs: nowMs, pings: 0 }
  }

  /** Gives the number of pings. */
  handleTimeout(nowMs: number, effects: HardEffect[]): number {
    if (nowMs >= this.#endMs) this.#isDone = true
    this.#ownPort.handleTimeout(nowMs, effects)
    const [told, socket] = [this.#told, this.#socket]
    if (told === undefined || nowMs < told.atMs + (PING_AT_MS[told.pings] ?? Number.POSITIVE_INFINITY))
      return 0
    told.pings += 1
    const [address] = this.#options.peerAddresses
    if (address === undefined) return 0
    const { mainSocket, ping: bytes } = this.#options
    const remote = { address, port: told.port, scopeId: 0 }
    effects.push({ kind: 'send', path: { socket: mainSocket, remote, local: undefined }, bytes })
    if (socket === undefined) return 1
    // The peer's NAT may not be open for this one yet, so the first only opens ours.
    const hops = this.#isOpen ? {} : { hops: FIRST_HOPS }
    this.#isOpen = true
    effects.push({ kind: 'send', path: { socket, remote, local: undefined }, bytes, ...hops })
    return 2
  }

  handleDatagram(path: Path, bytes: Uint8Array, effects: HardEffect[]): void {
    const port = this.#ownPort.takeAnswer(path, bytes)
    if (port === undefined) return
    for (const remote of this.#options.peerEndpoints) {
      const opened: Path = { socket: path.socket, remote, local: undefined }
      effects.push({ kind: 'send', path: opened, bytes: this.#options.ping, hops: FIRST_HOPS })
    }
    effects.push({ kind: 'tell', ports: [port, port] })
  }
}
