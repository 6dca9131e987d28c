/**
 * The port from which a fresh socket of ours wrote to the peer, where the NAT here gives ports in order: it lies
 * between those of two sockets that ask a server, one just before it and one just after. Sans-IO.
 *
 * What it writes does not come as far as the peer's NAT, which may answer what nobody asked for: then the peer's own pings
 * leave from another port. Where nothing comes of that, our NAT may be too far away to be opened so; three more
 * sockets do the same, and what the middle one writes goes all the way.
 */

import type { Endpoint } from '../net/endpoint.js'
import type { Path } from '../net/path.js'
import type { HardEffect, HardSearchOptions } from './hard-search.js'
import { SECOND_HOPS } from './search-schedule.js'
import { ServerQuestions } from './server-questions.js'

const BURST_SOCKETS = 3
const BURSTS = 2
export const BRACKET_SOCKETS: number = BURSTS * BURST_SOCKETS
/** The peer hears of the ports by the relay and pings them: that may take so long. */
const BURST_PATIENCE_MS = 900

export class Bracket {
  readonly #options: HardSearchOptions
  readonly #maxPorts: number
  readonly #questions: ServerQuestions<'before' | 'after'> | undefined
  #sockets: readonly number[] = []
  #remote: Endpoint | undefined
  #bursts = 0
  #burstMs = Number.POSITIVE_INFINITY
  #before: number | undefined
  #after: number | undefined
  #isDone = false

  /** `maxPorts`: a wider one is of no use. */
  constructor(options: HardSearchOptions, maxPorts: number) {
    const { stunServer, random } = options
    this.#options = options
    this.#maxPorts = maxPorts
    this.#questions = stunServer && new ServerQuestions(stunServer, random)
  }

  /** Nothing can come of it any more. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** Of the next burst. */
  nextDeadlineMs(): number {
    return this.#burstMs
  }

  stop(): void {
    this.#burstMs = Number.POSITIVE_INFINITY
  }

  /** `remote`: to where it writes. To be followed by handleTimeout. */
  start(sockets: readonly number[], remote: Endpoint | undefined, nowMs: number): void {
    this.#sockets = sockets
    this.#remote = remote
    this.#burstMs = nowMs
  }

  /** In one burst: what is sent first is translated first. Gives the number of probes. */
  handleTimeout(nowMs: number, effects: HardEffect[]): number {
    if (nowMs < this.#burstMs) return 0
    const [first, middle, last] = this.#sockets.slice(BURST_SOCKETS * this.#bursts)
    const { ping: bytes } = this.#options
    const remote = this.#remote
    this.#bursts += 1
    this.#burstMs = this.#bursts < BURSTS ? nowMs + BURST_PATIENCE_MS : Number.POSITIVE_INFINITY
    const questions = this.#questions
    if (first === undefined || middle === undefined || last === undefined || !questions || !remote) {
      this.#isDone = true
      return 0
    }
    questions.clear()
    this.#before = undefined
    this.#after = undefined
    const path: Path = { socket: middle, remote, local: undefined }
    const hops = this.#bursts === 1 ? { hops: SECOND_HOPS } : {}
    effects.push(
      questions.ask('before', first),
      { kind: 'send', path, bytes, ...hops },
      questions.ask('after', last),
    )
    return 1
  }

  handleDatagram(path: Path, bytes: Uint8Array, effects: HardEffect[]): void {
    const answer = this.#questions?.takeAnswer(path, bytes)
    if (answer?.place === 'before') this.#before = answer.port
    if (answer?.place === 'after') this.#after = answer.port
    const [before, after] = [this.#before, this.#after]
    if (answer === undefined || before === undefined || after === undefined) return
    // The two of the servers themselves are not it; a NAT that began anew at its lowest port is no bracket.
    if (after - before >= 2 && after - before <= this.#maxPorts)
      effects.push({ kind: 'tell', ports: [before + 1, after - 1] })
    else if (this.#bursts < BURSTS) this.#burstMs = Number.NEGATIVE_INFINITY
    else this.#isDone = true
  }
}
