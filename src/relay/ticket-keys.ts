/**
 * The keys that a hub's tickets are signed with: the one that a relay was given, and its successor once a ticket has
 * shown it. After the overlap the old one is good for nothing. Pure.
 */

import { equalBytes } from '../base/bytes.js'
import type { Succession } from '../control/succession.js'
import { type OpenedTicket, tryOpenTicket } from '../control/ticket.js'

export class TicketKeys {
  readonly #wallNowMs: () => number
  #key: Uint8Array
  #successor: Succession | undefined

  constructor(key: Uint8Array, wallNowMs: () => number) {
    this.#key = key
    this.#wallNowMs = wallNowMs
  }

  /** As tryOpenTicket. */
  tryOpen(ticket: Uint8Array, identity: Uint8Array): OpenedTicket | undefined {
    if (this.#successor !== undefined && this.#wallNowMs() >= this.#successor.untilS * 1000) {
      this.#key = this.#successor.key
      this.#successor = undefined
    }
    const bySuccessor = this.#successor && tryOpenTicket(this.#successor.key, ticket, identity)
    const terms = bySuccessor ?? tryOpenTicket(this.#key, ticket, identity)
    const { succession } = terms ?? {}
    if (bySuccessor === undefined && succession !== undefined) this.#learn(succession)
    return terms
  }

  /** The first that the old key names stays: a second one could be a thief's. */
  #learn(succession: Succession): void {
    if (this.#successor === undefined || equalBytes(this.#successor.key, succession.key)) {
      this.#successor = succession
    }
  }
}
