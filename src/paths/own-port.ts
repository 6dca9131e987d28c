/** Which port a fresh socket of ours has outside: a server is asked, and asked again while it is silent. Sans-IO. */

import type { Endpoint } from '../net/endpoint.js'
import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import type { HardEffect } from './hard-search.js'
import { ServerQuestions } from './server-questions.js'

const ASK_AT_MS = [0, 150, 400] as const

export class OwnPort {
  readonly #questions: ServerQuestions<'port'> | undefined
  #asks: { readonly socket: number; readonly fromMs: number; count: number } | undefined

  constructor(server: Endpoint | undefined, random: RandomBytes) {
    this.#questions = server && new ServerQuestions(server, random)
  }

  /** To be followed by handleTimeout. */
  ask(socket: number, nowMs: number): void {
    this.#asks = { socket, fromMs: nowMs, count: 0 }
  }

  stop(): void {
    this.#asks = undefined
  }

  nextDeadlineMs(): number {
    const asks = this.#asks
    return asks === undefined
      ? Number.POSITIVE_INFINITY
      : asks.fromMs + (ASK_AT_MS[asks.count] ?? Number.POSITIVE_INFINITY)
  }

  handleTimeout(nowMs: number, effects: HardEffect[]): void {
    const asks = this.#asks
    if (asks === undefined || nowMs < this.nextDeadlineMs()) return
    asks.count += 1
    if (this.#questions !== undefined) effects.push(this.#questions.ask('port', asks.socket))
  }

  /** The port, once; undefined if this is no answer. */
  takeAnswer(path: Path, bytes: Uint8Array): number | undefined {
    const answer = this.#questions?.takeAnswer(path, bytes)
    if (answer === undefined || this.#asks === undefined) return undefined
    this.#asks = undefined
    return answer.port
  }
}
