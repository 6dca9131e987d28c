/**
 * What is said to a hub over its socket (hub.sock in its state directory): HTTP/1.1, JSON both ways.
 *
 * | request | body | answer |
 * | GET /v1/hub | | HubStatus |
 * | GET /v1/nodes | | HubNode[] |
 * | GET /v1/audit | | AuditEntry[], newest first |
 * | GET /v1/tokens | | HubToken[], the next to expire first |
 * | POST /v1/tokens | TokenOrder | TokenAnswer |
 * | POST /v1/tokens/revoke | { id } | HubToken |
 * | POST /v1/nodes/remove, /approve, /reject | { node } | HubNode |
 * | POST /v1/nodes/rename | { node, name } | HubNode |
 * | POST /v1/nodes/tag | { node, add, remove } | HubNode |
 * | POST /v1/keys/rotate | { overlapS } | KeyChange |
 * | GET /v1/relays | | HubRelay[] |
 * | POST /v1/relays/add, /remove | { host, port, key } | HubRelay[] |
 */

import { z } from 'zod'
import type { RelayInfo } from '../control/messages.js'

export interface HubStatus {
  readonly network: string
  readonly prefix4: string
  readonly prefix6: string
  /** Where nodes reach it. */
  readonly address: string
  readonly port: number
  readonly stunPort: number
  /** Base64: proves the hub to nodes and relays. */
  readonly hubKey: string
  readonly relays: readonly HubRelay[]
  /** RFC 3339: the keys before count until then; null if no change is under way. */
  readonly keyChangeUntil: string | null
  readonly needsApproval: boolean
  readonly needsConsent: boolean
  readonly nodes: number
  readonly online: number
  readonly relayClients: number
  /** Mbit/s that each may send; null for no limit. */
  readonly relayLimitMbitS: number | null
  readonly pid: number
  readonly version: string
  /** Of the hub itself, resident. */
  readonly memoryBytes: number
  readonly store: HubStore
  /** The hub, and its front, which listens and relays; that is missing while it does not run. */
  readonly processes: readonly HubProcess[]
  /** Since the start. */
  readonly counters: Readonly<Record<string, number>>
}

/** While it fails, the hub goes on from memory: who is in the network stays in it, and nobody new comes in. */
export interface HubStore {
  /** Nodes of which memory knows more than the store. */
  readonly unsaved: number
  /** What is wrong and what to do; these three are missing while the store works. */
  readonly failure?: string | undefined
  readonly hint?: string | undefined
  /** RFC 3339. */
  readonly since?: string | undefined
}

export interface HubProcess {
  readonly name: string
  readonly pid: number
  /** Resident. */
  readonly memoryBytes: number
  /** Seconds of processor time since its start. */
  readonly cpuS: number
  /** How often it had to be started again. */
  readonly restarts: number
}

/** A relay besides the hub's own. */
export interface HubRelay {
  readonly key: string
  readonly host: string
  readonly port: number
  readonly isConnected: boolean
  /** It has heard of every change. */
  readonly isCurrent: boolean
  /** Null if it is not connected. */
  readonly heardAgoS: number | null
}

export interface HubNode {
  readonly identity: string
  readonly name: string
  readonly v4: string
  readonly v6: string
  readonly tags: readonly string[]
  readonly state: 'approved' | 'pending'
  /** Id of the token that it came with; null if that is not known. */
  readonly token: string | null
  readonly isEphemeral: boolean
  readonly isOnline: boolean
  /** RFC 3339. */
  readonly createdAt: string
  readonly lastSeenAt: string
  /** What keeps going wrong with it, in words. */
  readonly trouble?: string | undefined
}

export interface AuditEntry {
  readonly at: string
  readonly event: string
  readonly subject: string
  readonly detail: string
}

export interface TokenOrder {
  /** Empty: the node chooses. */
  readonly name: string
  readonly tags: readonly string[]
  readonly uses: number
  readonly expiresS: number
  readonly isEphemeral: boolean
}

export interface TokenAnswer {
  /** For: overlay join. */
  readonly token: string
  readonly id: string
}

/** A token without its secret. */
export interface HubToken {
  readonly id: string
  /** Of the node that comes with it; empty: the node chooses. */
  readonly name: string
  readonly tags: readonly string[]
  readonly usesLeft: number
  readonly isEphemeral: boolean
  readonly expiresAt: string
}

export interface TagOrder {
  readonly node: string
  readonly add: readonly string[]
  readonly remove: readonly string[]
}

export interface KeyChange {
  /** Base64: proves the hub to nodes and relays. */
  readonly hubKey: string
  /** RFC 3339: the keys before count until then. */
  readonly until: string
}

const count = z.number().min(0)
const text = z.string().max(4096)

const hubRelay: z.ZodType<HubRelay> = z.object({
  key: text,
  host: text,
  port: count,
  isConnected: z.boolean(),
  isCurrent: z.boolean(),
  heardAgoS: count.nullable(),
})
export const hubRelays: z.ZodType<readonly HubRelay[]> = z.array(hubRelay)

export const relayOrder: z.ZodType<RelayInfo> = z.object({
  key: z.string().length(44),
  host: z.string().min(1).max(253),
  port: z.number().int().min(1).max(65535),
})

export const hubStatus: z.ZodType<HubStatus> = z.object({
  network: text,
  prefix4: text,
  prefix6: text,
  address: text,
  port: count,
  stunPort: count,
  hubKey: text,
  relays: z.array(hubRelay),
  keyChangeUntil: text.nullable(),
  needsApproval: z.boolean(),
  needsConsent: z.boolean(),
  nodes: count,
  online: count,
  relayClients: count,
  relayLimitMbitS: count.nullable(),
  pid: count,
  version: text,
  memoryBytes: count,
  store: z.object({
    unsaved: count,
    failure: text.optional(),
    hint: text.optional(),
    since: text.optional(),
  }),
  processes: z.array(z.object({ name: text, pid: count, memoryBytes: count, cpuS: count, restarts: count })),
  counters: z.record(z.string(), count),
})

export const hubNode: z.ZodType<HubNode> = z.object({
  identity: text,
  name: text,
  v4: text,
  v6: text,
  tags: z.array(text),
  state: z.enum(['approved', 'pending']),
  token: text.nullable(),
  isEphemeral: z.boolean(),
  isOnline: z.boolean(),
  createdAt: text,
  lastSeenAt: text,
  trouble: text.optional(),
})
export const hubNodes: z.ZodType<readonly HubNode[]> = z.array(hubNode)

export const auditEntries: z.ZodType<readonly AuditEntry[]> = z.array(
  z.object({ at: text, event: text, subject: text, detail: text }),
)

export const tokenOrder: z.ZodType<TokenOrder> = z.object({
  name: z.string().max(63),
  tags: z.array(z.string().min(1).max(63)).max(16),
  uses: z.number().int().min(1).max(1_000_000),
  expiresS: z
    .number()
    .int()
    .min(1)
    .max(10 * 365 * 86_400),
  isEphemeral: z.boolean(),
})

export const tokenAnswer: z.ZodType<TokenAnswer> = z.object({ token: text, id: text })
export const hubToken: z.ZodType<HubToken> = z.object({
  id: text,
  name: text,
  tags: z.array(text),
  usesLeft: count,
  isEphemeral: z.boolean(),
  expiresAt: text,
})
export const hubTokens: z.ZodType<readonly HubToken[]> = z.array(hubToken)
export const revokeOrder: z.ZodType<{ readonly id: string }> = z.object({ id: text })
const tags = z.array(z.string().min(1).max(63)).max(16)
export const tagOrder: z.ZodType<TagOrder> = z.object({ node: text, add: tags, remove: tags })
export const nodeOrder: z.ZodType<{ readonly node: string }> = z.object({ node: text })
export const renameOrder: z.ZodType<{ readonly node: string; readonly name: string }> = z.object({
  node: text,
  name: z.string().max(63),
})
export const rotateOrder: z.ZodType<{ readonly overlapS: number }> = z.object({
  overlapS: z
    .number()
    .int()
    .min(1)
    .max(90 * 86_400),
})
export const keyChange: z.ZodType<KeyChange> = z.object({ hubKey: text, until: text })
