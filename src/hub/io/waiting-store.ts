/**
 * The store of a hub that started where its store cannot be opened, because its disk is read-only or full: it knows
 * all that the store holds, takes no change, and becomes the store itself as soon as that can be opened.
 */

import { MemoryStore } from '../memory-store.js'
import type {
  AuditRecord,
  ConsentRecord,
  NetworkRecord,
  NodeRecord,
  RemovalRecord,
  Store,
  TokenRecord,
} from '../store.js'
import { displacedStore } from './store-faults.js'

/** Of what happened, for whoever asks the hub meanwhile. */
const AUDIT_ENTRIES = 1000

export class WaitingStore implements Store {
  readonly #path: string
  readonly #open: () => Store
  /** What was read at the start; then the store itself. */
  #store: Store
  #isOpen = false

  /** `known`: all that is in the store at `path`. `open`: throws StoreError as long as it cannot be opened. */
  constructor(path: string, known: Store, open: () => Store) {
    this.#path = path
    this.#store = copyOf(known)
    this.#open = open
  }

  network(): NetworkRecord | undefined {
    return this.#store.network()
  }

  setNetwork(network: NetworkRecord): void {
    this.#opened().setNetwork(network)
  }

  nodes(): readonly NodeRecord[] {
    return this.#store.nodes()
  }

  putNode(node: NodeRecord): void {
    this.#opened().putNode(node)
  }

  deleteNode(identity: string): void {
    this.#opened().deleteNode(identity)
  }

  consents(): readonly ConsentRecord[] {
    return this.#store.consents()
  }

  putConsent(consent: ConsentRecord): void {
    this.#opened().putConsent(consent)
  }

  deleteConsent(consent: ConsentRecord): void {
    this.#opened().deleteConsent(consent)
  }

  epoch(): number {
    return this.#store.epoch()
  }

  setEpoch(epoch: number): void {
    this.#opened().setEpoch(epoch)
  }

  removals(): readonly RemovalRecord[] {
    return this.#store.removals()
  }

  putRemoval(removal: RemovalRecord): void {
    this.#opened().putRemoval(removal)
  }

  deleteRemoval(identity: string): void {
    this.#opened().deleteRemoval(identity)
  }

  tokens(): readonly TokenRecord[] {
    return this.#store.tokens()
  }

  findToken(hash: string): TokenRecord | undefined {
    return this.#store.findToken(hash)
  }

  putToken(token: TokenRecord): void {
    this.#opened().putToken(token)
  }

  deleteToken(hash: string): void {
    this.#opened().deleteToken(hash)
  }

  appendAudit(record: AuditRecord): void {
    this.#opened().appendAudit(record)
  }

  audit(limit: number): readonly AuditRecord[] {
    return this.#store.audit(limit)
  }

  transaction<T>(work: () => T): T {
    return this.#opened().transaction(work)
  }

  close(): void {
    this.#store.close()
  }

  /** Throws StoreError. */
  #opened(): Store {
    if (this.#isOpen) return this.#store
    const store = this.#open()
    // The hub goes on from what it read: over another store it would write as if that were the same.
    if (contentOf(store) !== contentOf(this.#store)) {
      store.close()
      throw displacedStore(this.#path)
    }
    this.#isOpen = true
    this.#store = store
    return store
  }
}

function copyOf(known: Store): MemoryStore {
  const copy = new MemoryStore()
  const network = known.network()
  if (network !== undefined) copy.setNetwork(network)
  for (const node of known.nodes()) copy.putNode(node)
  for (const token of known.tokens()) copy.putToken(token)
  for (const consent of known.consents()) copy.putConsent(consent)
  for (const removal of known.removals()) copy.putRemoval(removal)
  copy.setEpoch(known.epoch())
  for (const record of [...known.audit(AUDIT_ENTRIES)].reverse()) copy.appendAudit(record)
  return copy
}

/** Of all that decides anything; in the order of the store, which is that of its keys. */
function contentOf(store: Store): string {
  const lists = [store.nodes(), store.tokens(), store.consents(), store.removals()]
  return JSON.stringify([store.network(), store.epoch(), ...lists])
}
