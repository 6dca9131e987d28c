/**
 * Tickets: by one a hub tells relays that an identity is in its network, as of a time. A relay that hears from
 * the hub believes what it hears; a ticket counts where the relay cannot know better (relay/hub-directory.ts).
 *
 * | offset | size | field |
 * | 0 | 32 | identity |
 * | 32 | 8 | seconds since 1970 at which it was issued, by the hub's clock, big-endian |
 * | 40 | 8 | epoch of the hub's directory at that time, big-endian |
 * | 48 | 64 | signature of the hub |
 */

import { concatBytes, equalBytes } from '../base/bytes.js'
import { IDENTITY_KEY_BYTES, type Identity, isSignedBy } from './identity.js'

/** Seconds. A node that hears from its hub gets a new one long before. */
export const TICKET_LIFETIME_S = 3600
const LABEL = 'overlay relay ticket v2'
const ISSUED_OFFSET: number = IDENTITY_KEY_BYTES
const EPOCH_OFFSET: number = ISSUED_OFFSET + 8
const SIGNED_BYTES: number = EPOCH_OFFSET + 8
const TICKET_BYTES: number = SIGNED_BYTES + 64

export interface TicketTerms {
  readonly issuedAtS: number
  readonly epoch: number
}

export function createTicket(hub: Identity, identity: Uint8Array, terms: TicketTerms): Uint8Array {
  const body = new Uint8Array(SIGNED_BYTES)
  body.set(identity)
  const view = new DataView(body.buffer)
  view.setBigUint64(ISSUED_OFFSET, BigInt(terms.issuedAtS))
  view.setBigUint64(EPOCH_OFFSET, BigInt(terms.epoch))
  return concatBytes(body, hub.sign(LABEL, body))
}

/** What the hub said in it; undefined if it is not this hub's, or not for `identity`. Does not look at the time. */
export function tryOpenTicket(
  hubKey: Uint8Array,
  ticket: Uint8Array,
  identity: Uint8Array,
): TicketTerms | undefined {
  if (ticket.length !== TICKET_BYTES) return undefined
  const body = ticket.subarray(0, SIGNED_BYTES)
  if (!equalBytes(body.subarray(0, IDENTITY_KEY_BYTES), identity)) return undefined
  if (!isSignedBy(hubKey, ticket.subarray(SIGNED_BYTES), LABEL, body)) return undefined
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const issuedAtS = Number(view.getBigUint64(ISSUED_OFFSET))
  return { issuedAtS, epoch: Number(view.getBigUint64(EPOCH_OFFSET)) }
}
