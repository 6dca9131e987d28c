/**
 * Who said yes to whom, in a network that asks for consent. Every change goes to the store together with its
 * audit record; what is asked often is kept here beside it. Does not know whether a policy allows anything.
 */

import { MAX_CONSENTS } from '../control/messages.js'
import type { NodeRecord, Store } from './store.js'

export class Consents {
  readonly #store: Store
  readonly #wallNowMs: () => number
  /** Giver → receivers. */
  readonly #given = new Map<string, Set<string>>()

  constructor(store: Store, wallNowMs: () => number) {
    this.#store = store
    this.#wallNowMs = wallNowMs
    for (const { giver, receiver } of store.consents()) this.#givenBy(giver).add(receiver)
  }

  has(giver: string, receiver: string): boolean {
    return this.#given.get(giver)?.has(receiver) === true
  }

  isMutual(one: string, other: string): boolean {
    return this.has(one, other) && this.has(other, one)
  }

  /** False if that changes nothing. */
  set(giver: NodeRecord, receiver: NodeRecord, isGiven: boolean): boolean {
    const consent = { giver: giver.identity, receiver: receiver.identity }
    if (this.has(consent.giver, consent.receiver) === isGiven) return false
    const receivers = this.#givenBy(consent.giver)
    if (isGiven && receivers.size >= MAX_CONSENTS) return false
    this.#store.transaction(() => {
      if (isGiven) this.#store.putConsent(consent)
      else this.#store.deleteConsent(consent)
      this.#store.appendAudit({
        atMs: this.#wallNowMs(),
        event: isGiven ? 'consent.given' : 'consent.revoked',
        subject: giver.name,
        detail: `to ${receiver.name} ${receiver.identity}`,
      })
    })
    if (isGiven) receivers.add(consent.receiver)
    else receivers.delete(consent.receiver)
    return true
  }

  /** The node was deleted from the store. */
  forget(identity: string): void {
    this.#given.delete(identity)
    for (const receivers of this.#given.values()) receivers.delete(identity)
  }

  #givenBy(giver: string): Set<string> {
    const known = this.#given.get(giver)
    if (known !== undefined) return known
    const receivers = new Set<string>()
    this.#given.set(giver, receivers)
    return receivers
  }
}
