/** Why a node is not let in, in words for whoever runs it. */

import type { Refusal } from '../control/messages.js'
import type { Departure, RemovalRecord } from './store.js'

/** Only a backup that is put back could change it. */
const REMOVED_RETRY_S = 600

export interface Refused {
  readonly refusal: Refusal
}

/** What a node hears that is none any more, then and whenever it comes back. */
export function removedRefusal({ name, event = 'node.removed', atMs }: RemovalRecord): Refusal {
  const message = `${name} ${FAREWELLS[event]}`
  const retryAfterS = REMOVED_RETRY_S
  if (event === 'node.rejected') {
    const hint = 'ask whoever runs the hub for a new token'
    return { type: 'refused', code: 'rejected', message, hint, retryAfterS }
  }
  const hint = 'to come back, join with a new token'
  return { type: 'refused', code: 'removed', message, hint, retryAfterS, removedAtS: Math.floor(atMs / 1000) }
}

const FAREWELLS: Readonly<Record<Departure, string>> = {
  'node.removed': 'was removed from this network',
  'node.left': 'has left this network',
  'node.expired': 'was forgotten: it was away, or not approved, for too long',
  'node.rejected': 'was not let into this network',
}

export const NOT_KNOWN: Refused = refuse(
  'unknown',
  'the hub does not know this node',
  'if its store was restored from an older backup: sudo overlay down NETWORK, and with a new token: sudo overlay join',
)

export function refuse(code: Refusal['code'], message: string, hint: string): Refused {
  return { refusal: { type: 'refused', code, message, hint } }
}

/**
 * A hint as it is to be typed on the machine of one hub. `command`: how commands for that hub begin; most hints know no
 * more than that it is `overlay hub`.
 */
export function withCommand(hint: string, command: string): string {
  return hint.includes('--state') ? hint : hint.replaceAll('overlay hub ', `${command} `)
}
