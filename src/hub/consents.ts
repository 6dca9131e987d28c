/**
 * Who said yes to whom, in a network that asks for consent. Every change goes to the store together with its
 * audit record; what is asked often is kept here beside it. Does not know whether a policy allows anything.
 */

import type { DirectoryPair } from '../control/directory.js'
import { MAX_CONSENTS } from '../control/messages.js'
import type { Revocations } from './revocations.js'
import type { NodeRecord, Store } from './store.js'
import type { StoreWriter } from './store-writer.js'

export class Consents {
  readonly #writer: StoreWriter
  readonly #wallNowMs: () => number
  /** Giver → receivers. */
  readonly #given = new Map<string, Set<string>>()
  readonly #revocations: Revocations
  /** Who agreed, or agrees no longer, since `takeTouched`. */
  #touched: DirectoryPair[] = []

  constructor(store: Store, writer: StoreWriter, revocations: Revocations, wallNowMs: () => number) {
    this.#writer = writer
    this.#revocations = revocations
    this.#wallNowMs = wallNowMs
    for (const { giver, receiver } of store.consents()) this.#givenBy(giver).add(receiver)
  }

  has(giver: string, receiver: string): boolean {
    return this.#given.get(giver)?.has(receiver) === true
  }

  isMutual(one: string, other: string): boolean {
    return this.has(one, other) && this.has(other, one)
  }

  /** All who have said yes to each other, once each. */
  mutual(): DirectoryPair[] {
    return [...this.#given].flatMap(([one, receivers]) =>
      [...receivers]
        .filter((other) => one < other && this.has(other, one))
        .map((other): DirectoryPair => [one, other]),
    )
  }

  takeTouched(): readonly DirectoryPair[] {
    const pairs = this.#touched
    this.#touched = []
    return pairs
  }

  /** False if that changes nothing. Throws StoreError, and then nothing has changed either. */
  set(giver: NodeRecord, receiver: NodeRecord, isGiven: boolean): boolean {
    const consent = { giver: giver.identity, receiver: receiver.identity }
    if (this.has(consent.giver, consent.receiver) === isGiven) return false
    const receivers = this.#givenBy(consent.giver)
    if (isGiven && receivers.size >= MAX_CONSENTS) return false
    const isOfBoth = this.has(consent.receiver, consent.giver)
    this.#writer.write((store) => {
      if (isOfBoth) this.#revocations.advance(store)
      if (isGiven) store.putConsent(consent)
      else store.deleteConsent(consent)
      store.appendAudit({
        atMs: this.#wallNowMs(),
        event: isGiven ? 'consent.given' : 'consent.revoked',
        subject: giver.name,
        detail: `to ${receiver.name} ${receiver.identity}`,
      })
    })
    if (isGiven) receivers.add(consent.receiver)
    else receivers.delete(consent.receiver)
    if (isOfBoth) this.#touched.push([consent.giver, consent.receiver])
    return true
  }

  /** The node was deleted from the store. */
  forget(identity: string): void {
    const given = this.#given.get(identity)
    this.#given.delete(identity)
    for (const [giver, receivers] of this.#given) {
      if (receivers.delete(identity) && given?.has(giver) === true) this.#touched.push([identity, giver])
    }
  }

  #givenBy(giver: string): Set<string> {
    const known = this.#given.get(giver)
    if (known !== undefined) return known
    const receivers = new Set<string>()
    this.#given.set(giver, receivers)
    return receivers
  }
}
