/** The store that forgets: for tests, and for hubs of an hour. */

import { isCausedByNode, MAX_AUDIT_SHARE } from './audit-shares.js'
import type {
  AuditRecord,
  ConsentRecord,
  NetworkRecord,
  NodeRecord,
  RemovalRecord,
  Store,
  TokenRecord,
} from './store.js'

/** Of each part: it is for hours, not for years. */
const MAX_AUDIT_RECORDS = 10_000

export class MemoryStore implements Store {
  readonly #nodes = new Map<string, NodeRecord>()
  readonly #tokens = new Map<string, TokenRecord>()
  /** By both identities. */
  readonly #consents = new Map<string, ConsentRecord>()
  #audit: AuditRecord[] = []
  #network: NetworkRecord | undefined
  readonly #removals = new Map<string, RemovalRecord>()
  #epoch = 0

  network(): NetworkRecord | undefined {
    return this.#network
  }

  setNetwork(network: NetworkRecord): void {
    this.#network = network
  }

  nodes(): readonly NodeRecord[] {
    return [...this.#nodes.values()]
  }

  putNode(node: NodeRecord): void {
    this.#nodes.set(node.identity, node)
  }

  deleteNode(identity: string): void {
    this.#nodes.delete(identity)
    for (const [key, { giver, receiver }] of this.#consents) {
      if (giver === identity || receiver === identity) this.#consents.delete(key)
    }
  }

  consents(): readonly ConsentRecord[] {
    return [...this.#consents.values()]
  }

  putConsent(consent: ConsentRecord): void {
    this.#consents.set(keyOf(consent), consent)
  }

  deleteConsent(consent: ConsentRecord): void {
    this.#consents.delete(keyOf(consent))
  }

  epoch(): number {
    return this.#epoch
  }

  setEpoch(epoch: number): void {
    this.#epoch = epoch
  }

  removals(): readonly RemovalRecord[] {
    return [...this.#removals.values()]
  }

  putRemoval(removal: RemovalRecord): void {
    this.#removals.set(removal.identity, removal)
  }

  deleteRemoval(identity: string): void {
    this.#removals.delete(identity)
  }

  tokens(): readonly TokenRecord[] {
    return [...this.#tokens.values()]
  }

  findToken(hash: string): TokenRecord | undefined {
    return this.#tokens.get(hash)
  }

  putToken(token: TokenRecord): void {
    this.#tokens.set(token.hash, token)
  }

  deleteToken(hash: string): void {
    this.#tokens.delete(hash)
  }

  appendAudit(record: AuditRecord): void {
    this.#audit.push(record)
    const { event, subject } = record
    const isByNode = isCausedByNode(event)
    if (isByNode)
      this.#boundAudit((other) => other.subject === subject && other.event === event, MAX_AUDIT_SHARE)
    this.#boundAudit((other) => isCausedByNode(other.event) === isByNode, MAX_AUDIT_RECORDS)
  }

  audit(limit: number): readonly AuditRecord[] {
    return this.#audit.slice(-limit).reverse()
  }

  /** One thread and no failure half-way that it could outlive: nothing to take back. */
  transaction<T>(work: () => T): T {
    return work()
  }

  close(): void {
    this.#nodes.clear()
    this.#tokens.clear()
  }

  #boundAudit(isRival: (record: AuditRecord) => boolean, max: number): void {
    const rivals = this.#audit.filter(isRival)
    const [oldest] = rivals
    if (rivals.length > max) this.#audit = this.#audit.filter((record) => record !== oldest)
  }
}

function keyOf({ giver, receiver }: ConsentRecord): string {
  return `${giver} ${receiver}`
}
