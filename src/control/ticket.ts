/**
 * Tickets: by one a hub tells relays that an identity is in its network, as of a time. A relay that hears from
 * the hub believes what it hears; a ticket counts where the relay cannot know better (relay/hub-directory.ts).
 *
 * | offset | size | field |
 * | 0 | 32 | identity |
 * | 32 | 8 | seconds since 1970 at which it was issued, by the hub's clock, big-endian |
 * | 40 | 8 | epoch of the hub's directory at that time, big-endian |
 * | 48 | 64 | signature of the hub |
 * | 112 | 104 | where the hub changed its key: the proof by which relays learn it (succession.ts) |
 */

import { concatBytes, equalBytes } from '../base/bytes.js'
import { IDENTITY_KEY_BYTES, type Identity, isSignedBy } from './identity.js'
import { SUCCESSION_BYTES, type Succession, tryOpenSuccession } from './succession.js'

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

export interface OpenedTicket extends TicketTerms {
  /** It is signed by a successor of the key that it was opened with. */
  readonly succession?: Succession | undefined
}

/** `succession`: of the key before `hub`'s to it. */
export function createTicket(
  hub: Identity,
  identity: Uint8Array,
  terms: TicketTerms,
  succession: Uint8Array = new Uint8Array(),
): Uint8Array {
  const body = new Uint8Array(SIGNED_BYTES)
  body.set(identity)
  const view = new DataView(body.buffer)
  view.setBigUint64(ISSUED_OFFSET, BigInt(terms.issuedAtS))
  view.setBigUint64(EPOCH_OFFSET, BigInt(terms.epoch))
  return concatBytes(body, hub.sign(LABEL, body), succession)
}

/** What the hub said in it; undefined if neither `hubKey` nor its successor signed it, or not for `identity`. Does not look at the time. */
export function tryOpenTicket(
  hubKey: Uint8Array,
  ticket: Uint8Array,
  identity: Uint8Array,
): OpenedTicket | undefined {
  const succession = tryOpenSuccession(hubKey, ticket.subarray(TICKET_BYTES))
  if (ticket.length !== TICKET_BYTES && ticket.length !== TICKET_BYTES + SUCCESSION_BYTES) return undefined
  const body = ticket.subarray(0, SIGNED_BYTES)
  if (!equalBytes(body.subarray(0, IDENTITY_KEY_BYTES), identity)) return undefined
  const signature = ticket.subarray(SIGNED_BYTES, TICKET_BYTES)
  const isOld = succession === undefined || !isSignedBy(succession.key, signature, LABEL, body)
  if (isOld && !isSignedBy(hubKey, signature, LABEL, body)) return undefined
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const issuedAtS = Number(view.getBigUint64(ISSUED_OFFSET))
  const epoch = Number(view.getBigUint64(EPOCH_OFFSET))
  return { issuedAtS, epoch, ...(!isOld && { succession }) }
}
