/**
 * A second try between two easy NATs, from a port of ours that the peer's NAT has never heard of. Sans-IO.
 *
 * Routers that answer what nobody asked for keep that as a flow of their own: what should then leave for there
 * takes another port, and pings never meet. So a fresh socket learns its port from a server, opens our NAT by a datagram
 * that does not come as far as the peer's, and the port is told. The peer pings it from its data socket, as we do with the one
 * that it tells.
 */

import type { Path } from '../net/path.js'
import type { HardEffect, HardSearchOptions } from './hard-search.js'
import { FIRST_HOPS } from './search-schedule.js'
import { ServerQuestions } from './server-questions.js'

export const FRESH_SOCKETS = 1
const ASK_AT_MS = [0, 150, 400] as const
/** After the peer has told its port. */
const PING_AT_MS = [0, 100, 300] as const
const TIME_LIMIT_MS = 700

export class FreshPort {
  readonly #options: HardSearchOptions
  readonly #questions: ServerQuestions<'port'> | undefined
  readonly #endMs: number
  #socket: number | undefined
  #asks: { readonly fromMs: number; count: number } | undefined
  #told: { readonly port: number; readonly atMs: number; pings: number } | undefined
  #isDone = false

  /** `told`: where the peer is to be pinged. */
  constructor(options: HardSearchOptions, told: number | undefined, nowMs: number) {
    const { stunServer, random } = options
    this.#options = options
    this.#questions = stunServer && new ServerQuestions(stunServer, random)
    this.#endMs = nowMs + TIME_LIMIT_MS
    if (told !== undefined) this.handlePeerPorts([told, told], nowMs)
  }

  get isDone(): boolean {
    return this.#isDone
  }

  stop(): void {
    this.#asks = undefined
    this.#told = undefined
  }

  nextDeadlineMs(): number {
    const ask = this.#asks && ASK_AT_MS[this.#asks.count]
    const ping = this.#told && PING_AT_MS[this.#told.pings]
    const askMs = this.#asks && ask !== undefined ? this.#asks.fromMs + ask : Number.POSITIVE_INFINITY
    const pingMs = this.#told && ping !== undefined ? this.#told.atMs + ping : Number.POSITIVE_INFINITY
    return Math.min(this.#endMs, askMs, pingMs)
  }

  handleSockets([socket]: readonly number[], nowMs: number): void {
    if (socket === undefined) return
    this.#socket = socket
    this.#asks = { fromMs: nowMs, count: 0 }
  }

  handlePeerPorts([port]: readonly [former: number, latter: number], nowMs: number): void {
    this.#told = { port, atMs: nowMs, pings: 0 }
  }

  /** Gives the number of pings. */
  handleTimeout(nowMs: number, effects: HardEffect[]): number {
    if (nowMs >= this.#endMs) this.#isDone = true
    const [asks, told] = [this.#asks, this.#told]
    if (asks !== undefined && nowMs >= asks.fromMs + (ASK_AT_MS[asks.count] ?? Number.POSITIVE_INFINITY)) {
      asks.count += 1
      const question = this.#socket === undefined ? undefined : this.#questions?.ask('port', this.#socket)
      if (question !== undefined) effects.push(question)
    }
    if (told === undefined || nowMs < told.atMs + (PING_AT_MS[told.pings] ?? Number.POSITIVE_INFINITY))
      return 0
    told.pings += 1
    const [address] = this.#options.peerAddresses
    if (address === undefined) return 0
    const { mainSocket: socket, ping: bytes } = this.#options
    const path: Path = { socket, remote: { address, port: told.port, scopeId: 0 }, local: undefined }
    effects.push({ kind: 'send', path, bytes })
    return 1
  }

  handleDatagram(path: Path, bytes: Uint8Array, effects: HardEffect[]): void {
    const answer = this.#questions?.takeAnswer(path, bytes)
    if (answer === undefined || this.#asks === undefined) return
    this.#asks = undefined
    for (const remote of this.#options.peerEndpoints) {
      const opened: Path = { socket: path.socket, remote, local: undefined }
      effects.push({ kind: 'send', path: opened, bytes: this.#options.ping, hops: FIRST_HOPS })
    }
    effects.push({ kind: 'tell', ports: [answer.port, answer.port] })
  }
}
