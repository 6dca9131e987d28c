/**
 * What a hub keeps: its network, nodes, join tokens, and the record of every change. The interface of all
 * drivers; calls are synchronous and whole, so that a `kill -9` between two of them loses neither.
 */

import type { SignedTunnelKey } from '../control/tunnel-key.js'

export interface NetworkRecord {
  readonly name: string
  /** Text of a /16 and of a /48. */
  readonly prefix4: string
  readonly prefix6: string
  /** New nodes wait until somebody approves them. */
  readonly needsApproval: boolean
  /** Two nodes hear of each other's endpoints and keys only when both have said yes. */
  readonly needsConsent: boolean
}

/** One node said yes to another; both by their identities. */
export interface ConsentRecord {
  readonly giver: string
  readonly receiver: string
}

export interface NodeRecord {
  /** Base64. */
  readonly identity: string
  readonly name: string
  readonly v4: string
  readonly tunnelKey: SignedTunnelKey
  readonly previousTunnelKey?: SignedTunnelKey | undefined
  readonly tags: readonly string[]
  readonly state: 'approved' | 'pending'
  /** Of the token that it came with; records of before tokens had one have none. */
  readonly tokenId?: string | undefined
  /** Removed when it has been away for a while. */
  readonly isEphemeral: boolean
  /** Wall clock, ms. */
  readonly createdAtMs: number
  readonly lastSeenMs: number
}

export interface TokenRecord {
  /** Hash of the secret, base64: the secret itself is not kept. */
  readonly hash: string
  /** Name for the node that comes with it; empty for one of its own choice. */
  readonly nodeName: string
  readonly tags: readonly string[]
  readonly usesLeft: number
  /** Wall clock, ms. */
  readonly expiresAtMs: number
  readonly isEphemeral: boolean
}

/** How a node stops being one. */
export type Departure = 'node.removed' | 'node.left' | 'node.expired' | 'node.rejected'

/** A node that is one no longer. */
export interface RemovalRecord {
  readonly identity: string
  readonly name: string
  /** Records of before it was kept have none: they were removed. */
  readonly event?: Departure | undefined
  /** Wall clock, ms. */
  readonly atMs: number
}

export interface AuditRecord {
  readonly atMs: number
  readonly event: string
  /** Whom it was about: a node's name, or empty. */
  readonly subject: string
  readonly detail: string
}

export interface Store {
  network(): NetworkRecord | undefined
  setNetwork(network: NetworkRecord): void
  nodes(): readonly NodeRecord[]
  /** Adds or replaces by identity. */
  putNode(node: NodeRecord): void
  /** With all consents that it gave or got. */
  deleteNode(identity: string): void
  consents(): readonly ConsentRecord[]
  /** Once, however often it is put. */
  putConsent(consent: ConsentRecord): void
  deleteConsent(consent: ConsentRecord): void
  /** What was set last; 0 before. */
  epoch(): number
  setEpoch(epoch: number): void
  removals(): readonly RemovalRecord[]
  /** Adds or replaces by identity. */
  putRemoval(removal: RemovalRecord): void
  deleteRemoval(identity: string): void
  tokens(): readonly TokenRecord[]
  /** Strangers may ask: it costs the same however many there are. */
  findToken(hash: string): TokenRecord | undefined
  /** Adds or replaces by hash. */
  putToken(token: TokenRecord): void
  deleteToken(hash: string): void
  /** What nodes cause is kept in shares: audit-shares.ts. */
  appendAudit(record: AuditRecord): void
  /** The latest, newest first. */
  audit(limit: number): readonly AuditRecord[]
  /** All or nothing. */
  transaction<T>(work: () => T): T
  close(): void
}
