/**
 * Who may come in to a relay, and who may speak with whom there. The relay asks at every new connection and
 * at the first message between two clients; what is decided is the hub's.
 */

import { equalBytes } from '../base/bytes.js'
import { TICKET_LIFETIME_S } from '../control/ticket.js'
import { TicketKeys } from './ticket-keys.js'

/** What the hub said last. */
export interface RelayDirectory {
  /** Whether an identity may come in, by its ticket or by a list. */
  mayEnter(identity: Uint8Array, ticket: Uint8Array): boolean
  /** Whether two identities, in base64, may know each other; the same either way round. */
  mayTalk(one: string, other: string): boolean
}

export interface TicketDirectoryOptions {
  /** Keys of hubs whose tickets count. */
  readonly hubs: readonly Uint8Array[]
  /** Identities that need no ticket. */
  readonly allowed: readonly Uint8Array[]
  readonly wallNowMs: () => number
}

/** For a relay that hears nothing from a hub: all that may come in may speak with each other. */
export class TicketDirectory implements RelayDirectory {
  readonly #options: TicketDirectoryOptions
  readonly #hubs: readonly TicketKeys[]

  constructor(options: TicketDirectoryOptions) {
    this.#options = options
    this.#hubs = options.hubs.map((key) => new TicketKeys(key, options.wallNowMs))
  }

  mayEnter(identity: Uint8Array, ticket: Uint8Array): boolean {
    const { allowed, wallNowMs } = this.#options
    if (allowed.some((known) => equalBytes(known, identity))) return true
    return this.#hubs.some((hub) => {
      const terms = hub.tryOpen(ticket, identity)
      return terms !== undefined && (terms.issuedAtS + TICKET_LIFETIME_S) * 1000 >= wallNowMs()
    })
  }

  mayTalk(): boolean {
    return true
  }
}
