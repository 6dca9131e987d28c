/**
 * The port from which a fresh socket of ours wrote to the peer, where the NAT here gives ports in order: it lies
 * between those of two sockets that ask a server, one just before it and one just after. Sans-IO.
 */

import type { Path } from '../net/path.js'
import type { HardEffect, HardSearchOptions } from './hard-search.js'
import { ServerQuestions } from './server-questions.js'

export const BRACKET_SOCKETS = 3

export class Bracket {
  readonly #options: HardSearchOptions
  readonly #maxPorts: number
  readonly #questions: ServerQuestions<'before' | 'after'> | undefined
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

  /** In one burst: what is sent first is translated first. Gives the number of probes. */
  handleSockets(sockets: readonly number[], effects: HardEffect[]): number {
    const [first, middle, last] = sockets
    const [remote] = this.#options.peerEndpoints
    if (first === undefined || middle === undefined || last === undefined) return 0
    if (this.#questions === undefined || remote === undefined) {
      this.#isDone = true
      return 0
    }
    effects.push(
      this.#questions.ask('before', first),
      { kind: 'send', path: { socket: middle, remote, local: undefined }, bytes: this.#options.ping },
      this.#questions.ask('after', last),
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
    else this.#isDone = true
  }
}
