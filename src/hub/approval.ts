/**
 * Nodes that wait for approval: their sessions stay open, so that whoever is approved or rejected hears of it at
 * once, and asks for nothing meanwhile. How many may wait and for how long is decided here too. Pure.
 */

import type { HubEffect, SessionId } from './effects.js'
import type { Arrival } from './session.js'
import type { NodeRecord, TokenRecord } from './store.js'
import { tokenId } from './tokens.js'

/** Of one token: whoever got hold of it does not fill the list of those who wait. */
const MAX_PENDING_PER_TOKEN = 32
const MAX_PENDING = 1024
/** Whom nobody approved for so long is forgotten. */
const PENDING_LIFETIME_MS: number = 7 * 86_400_000

export class Approval {
  readonly #arrivals = new Map<SessionId, Arrival>()
  readonly #byIdentity = new Map<string, Arrival>()

  get arrivals(): Iterable<Arrival> {
    return this.#arrivals.values()
  }

  find(session: SessionId): Arrival | undefined {
    return this.#arrivals.get(session)
  }

  findByIdentity(identity: string): Arrival | undefined {
    return this.#byIdentity.get(identity)
  }

  /** An older session of the same identity is closed. */
  open(arrival: Arrival, effects: HubEffect[]): void {
    const older = this.#byIdentity.get(arrival.identity)
    if (older !== undefined) {
      this.close(older.id)
      effects.push({ kind: 'close', session: older.id })
    }
    this.#arrivals.set(arrival.id, arrival)
    this.#byIdentity.set(arrival.identity, arrival)
  }

  close(session: SessionId): void {
    const arrival = this.#arrivals.get(session)
    if (arrival === undefined) return
    this.#arrivals.delete(session)
    this.#byIdentity.delete(arrival.identity)
  }
}

/** Whether one more node may wait that came with this token. */
export function mayWait(nodes: Iterable<NodeRecord>, token: TokenRecord): boolean {
  const id = tokenId(token)
  let [all, same] = [0, 0]
  for (const node of nodes) {
    if (node.state !== 'pending') continue
    all += 1
    if (node.tokenId === id) same += 1
  }
  return all < MAX_PENDING && same < MAX_PENDING_PER_TOKEN
}

export function hasWaitedTooLong(node: NodeRecord, nowMs: number): boolean {
  return node.state === 'pending' && nowMs - node.createdAtMs > PENDING_LIFETIME_MS
}
