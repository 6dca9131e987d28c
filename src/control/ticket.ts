/**
 * Tickets: by one a hub tells relays that an identity may use them until a time. It holds for every relay
 * that trusts the hub's signing key.
 *
 * | offset | size | field |
 * | 0 | 32 | identity |
 * | 32 | 8 | seconds since 1970 at which it ends, big-endian |
 * | 40 | 64 | signature of the hub |
 */

import { concatBytes, equalBytes } from '../base/bytes.js'
import { IDENTITY_KEY_BYTES, type Identity, isSignedBy } from './identity.js'

const LABEL = 'overlay relay ticket v1'
const SIGNED_BYTES: number = IDENTITY_KEY_BYTES + 8
const TICKET_BYTES: number = SIGNED_BYTES + 64

export function createTicket(hub: Identity, identity: Uint8Array, notAfterS: number): Uint8Array {
  const body = new Uint8Array(SIGNED_BYTES)
  body.set(identity)
  new DataView(body.buffer).setBigUint64(IDENTITY_KEY_BYTES, BigInt(notAfterS))
  return concatBytes(body, hub.sign(LABEL, body))
}

/** Whether `identity` may come in with it at `wallNowMs`. */
export function isTicketValid(
  hubKey: Uint8Array,
  ticket: Uint8Array,
  identity: Uint8Array,
  wallNowMs: number,
): boolean {
  if (ticket.length !== TICKET_BYTES) return false
  const body = ticket.subarray(0, SIGNED_BYTES)
  if (!equalBytes(body.subarray(0, IDENTITY_KEY_BYTES), identity)) return false
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  if (Number(view.getBigUint64(IDENTITY_KEY_BYTES)) * 1000 < wallNowMs) return false
  return isSignedBy(hubKey, ticket.subarray(SIGNED_BYTES), LABEL, body)
}
