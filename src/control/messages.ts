/**
 * What node and hub say to each other: one JSON value a message, each sealed by the session (noise-nk.ts).
 *
 * | node → hub | when |
 * | hello | first: who it is, proven for this session; with a token's secret if it is new |
 * | update | its tunnel keys or its round trips to relays changed |
 * | signal | a sealed message for another node, while no relay carries it |
 * | consent | it says yes to another node, or takes that back; where the network asks for it |
 * | ping | from time to time |
 * | leave | it goes for good |
 * | relay, heard | of relays: see directory.ts |
 *
 * | hub → node | when |
 * | welcome | answers hello: the network, its own place in it, relays, STUN servers |
 * | pending | answers hello of a node that waits for approval; welcome or refused follows when it is decided |
 * | nodes | after welcome in parts, the last with `isComplete`; later whatever changed |
 * | asking | after that, and when it changes: whom it could say yes to, by name and identity alone |
 * | signal, ticket, pong | |
 * | hubKey | its key changes; until that is over, also after each welcome and pending |
 * | refused | the session ends; in words that a person can act on |
 *
 * The border of both: sizes are limited here, and unknown fields dropped.
 */

import { z } from 'zod'
import { DNS_LABEL } from '../net/dns-label.js'
import type { HostEndpoint } from '../net/endpoint.js'
import { tryParsePrefix } from '../net/prefix.js'
import { type RelayHello, type RelayMessage, type RelayReport, relayHello, relayReport } from './directory.js'
import { tryParseIdentity } from './identity.js'
import type { SignedTunnelKey } from './tunnel-key.js'

/** Of one message, before it is sealed. */
export const MAX_MESSAGE_BYTES: number = 64 * 1024
/** Of one that a node says: the longest is a hello with all local prefixes that it may name. */
export const MAX_NODE_MESSAGE_BYTES: number = 16 * 1024
/** Keeps a message of nodes below MAX_MESSAGE_BYTES. */
export const MAX_NODES_PER_MESSAGE = 40
export const MAX_LOCAL_PREFIXES = 64
export const MAX_ASKING_PER_MESSAGE = 200
/** That a node is told of, and remembers: those who said yes to it before others. */
export const MAX_ASKING = 1000
/** That one node may give, so that none fills a store. */
export const MAX_CONSENTS = 4096
/** Of the name of a run. */
const MAX_RUN_CHARACTERS = 32
export const MAX_RETRY_AFTER_S = 3600
const REFUSAL_CODES = [
  'token',
  'name',
  'rejected',
  'removed',
  'unknown',
  'address',
  'malformed',
  'busy',
  'rateLimited',
  'elsewhere',
] as const
const MAX_RELAY_RTTS = 8
const MAX_RELAY_RTT_MS = 60_000

/** Where a relay is, and the key that proves who it is. */
export interface RelayInfo {
  /** Base64. */
  readonly key: string
  readonly host: string
  readonly port: number
}

/** Round trips of a node to the relays that it is connected to: key → ms. */
export type RelayRtts = Readonly<Record<string, number>>

/** What a node may know of another. */
export interface NodeInfo {
  /** Base64. */
  readonly identity: string
  readonly name: string
  readonly v4: string
  readonly v6: string
  readonly tunnelKey: SignedTunnelKey
  /** Relays that it is connected to. */
  readonly relayRtts: RelayRtts
  /** Another that it may still use, for some days after a change. */
  readonly previousTunnelKey?: SignedTunnelKey | undefined
  readonly isOnline: boolean
}

/** Who may be talked to as soon as both have said yes. */
export interface AskingNode {
  /** Base64. */
  readonly identity: string
  readonly name: string
  /** Whose yes there is already, as seen by who hears of it. */
  readonly direction: 'theirs' | 'ours' | 'none'
}

export interface Hello {
  readonly type: 'hello'
  readonly version: 1
  readonly identity: string
  /** Over the session's handshake hash. */
  readonly proof: string
  readonly tunnelKey: SignedTunnelKey
  /** Another that it may still use, for some days after a change. */
  readonly previousTunnelKey?: SignedTunnelKey | undefined
  /** Of a join token; only a node that is new needs one. */
  readonly secret?: string | undefined
  readonly name?: string | undefined
  /** By a person; else it is that of the machine, and where that is taken, one with a number behind it will do. */
  readonly isNameAsked?: boolean | undefined
  /** Names this run of the node, at random: the hub tells one that dialled anew from another machine with its key. */
  readonly run?: string | undefined
  /** v4 prefixes that this node sees by itself, so that its lease does not collide with them. */
  readonly localPrefixes: readonly string[]
}

export type NodeMessage =
  | Hello
  | {
      readonly type: 'update'
      readonly tunnelKey?: SignedTunnelKey | undefined
      readonly relayRtts?: RelayRtts | undefined
      /** Beside `tunnelKey`; without it, there is none any more. */
      readonly previousTunnelKey?: SignedTunnelKey | undefined
    }
  | { readonly type: 'signal'; readonly to: string; readonly body: string }
  | ConsentMessage
  | { readonly type: 'ping' }
  | { readonly type: 'leave' }
  | RelayHello
  | RelayReport

/** Proven by the session alone: who speaks in it is known. */
export interface ConsentMessage {
  readonly type: 'consent'
  readonly identity: string
  readonly isGiven: boolean
}

/** Of a node in the network. */
export interface Place {
  readonly network: string
  readonly prefix4: string
  readonly prefix6: string
  readonly name: string
  readonly v4: string
  readonly v6: string
}

/** It has a place and waits for approval; the session stays open until somebody decides. */
export interface Pending extends Place {
  readonly type: 'pending'
  /** What a person has to do. */
  readonly hint: string
}

export interface Welcome extends Place {
  readonly type: 'welcome'
  readonly relays: readonly RelayInfo[]
  readonly stun: readonly HostEndpoint[]
  readonly ticket: string
  /** The hub's clock, seconds since 1970: a node tells its user of a difference, and believes its own. */
  readonly nowS?: number | undefined
  /** Two nodes hear how to reach each other only when both have said yes. */
  readonly needsConsent?: boolean | undefined
}

/**
 * `rateLimited`: the node said hello, or something else, too often. It keeps its links, its netmap and its
 * keys, and waits. `elsewhere`: a later session proved the same identity. If the node dialled that one itself,
 * nothing is wrong; else its key file was copied: it waits, and tells its user that another machine is this node.
 * `busy`: the hub has too much to do, or cannot store anything. The node waits. After the others nothing changes by asking again
 * soon: `message` and `hint` say what a person has to do. `removed`: somebody put the node out of the network, and
 * nothing of it holds any longer; `unknown`: the hub has never heard of it, so its links stay as they are.
 */
export interface Refusal {
  readonly type: 'refused'
  readonly code: (typeof REFUSAL_CODES)[number]
  readonly message: string
  readonly hint: string
  /**
   * Seconds. Before them a hello is refused again, and costs another refusal: a node waits for them and for
   * up to half as long again, at random, whatever else tells it to hurry. Without it, it backs off by itself.
   */
  readonly retryAfterS?: number | undefined
  /** With `removed`: when that was, in seconds since 1970 by the hub's clock. */
  readonly removedAtS?: number | undefined
  /** See Welcome. */
  readonly nowS?: number | undefined
}

/**
 * The hub changes its key. Whoever says so is proven by the key that the session was made with. The new one counts
 * from now on, the old one until then.
 */
export interface HubKeyMessage {
  readonly type: 'hubKey'
  /** Base64. */
  readonly key: string
  /** Seconds since 1970. */
  readonly untilS: number
}

export interface NodesMessage {
  readonly type: 'nodes'
  readonly changed: readonly NodeInfo[]
  readonly removed: readonly string[]
  /** Ends the list that follows a welcome: whoever was not in it is no node any more. */
  readonly isComplete?: boolean | undefined
}

export interface AskingMessage {
  readonly type: 'asking'
  /** Of whom the node hears first, or of whom something changed. */
  readonly changed: readonly AskingNode[]
  readonly removed: readonly string[]
  /** Begins the list that follows a welcome: whoever was known before is not in it. */
  readonly isFirst?: boolean | undefined
}

export type HubMessage =
  | Welcome
  | Pending
  | NodesMessage
  | AskingMessage
  | { readonly type: 'signal'; readonly from: string; readonly body: string }
  | { readonly type: 'ticket'; readonly ticket: string }
  | HubKeyMessage
  | { readonly type: 'pong' }
  | Refusal

const key = z.string().length(44)
/** As a person reads it. */
const identityText = key.refine((text) => tryParseIdentity(text) !== undefined)
const address = z.string().max(64)
/** A node computes with these: a hub that lies about them must not get far. */
const prefix4 = address.refine((text) => isPrefix(text, 4, 8))
const prefix6 = address.refine((text) => isPrefix(text, 6, 48))
const host = z.string().min(1).max(253)
const port = z.number().int().min(1).max(65535)
const name = z.string().regex(DNS_LABEL)
const signalBody = z.string().max(4096)

const signedTunnelKey: z.ZodType<SignedTunnelKey> = z.object({
  key,
  /** A store of before keys were numbered has none; its signature does not count any more. */
  number: z.number().int().min(0).default(0),
  notBefore: z.number().int().min(0),
  notAfter: z.number().int().min(0),
  signature: z.string().length(88),
})

const relayRtts: z.ZodType<RelayRtts> = z
  .record(key, z.number().int().min(0).max(MAX_RELAY_RTT_MS))
  .refine((rtts) => Object.keys(rtts).length <= MAX_RELAY_RTTS)

const relayInfo: z.ZodType<RelayInfo> = z.object({ key, host, port })

export const nodeInfo: z.ZodType<NodeInfo> = z.object({
  identity: key,
  name,
  v4: address,
  v6: address,
  tunnelKey: signedTunnelKey,
  /** A store of before they were told has none. */
  relayRtts: relayRtts.default({}),
  previousTunnelKey: signedTunnelKey.optional(),
  isOnline: z.boolean(),
})

const askingNode: z.ZodType<AskingNode> = z.object({
  identity: identityText,
  name,
  direction: z.enum(['theirs', 'ours', 'none']),
})

export const nodeMessage: z.ZodType<NodeMessage> = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('hello'),
    version: z.literal(1),
    identity: key,
    proof: z.string().length(88),
    tunnelKey: signedTunnelKey,
    previousTunnelKey: signedTunnelKey.optional(),
    secret: z.string().max(64).optional(),
    name: z.string().max(63).optional(),
    isNameAsked: z.boolean().optional(),
    run: z.string().max(MAX_RUN_CHARACTERS).optional(),
    localPrefixes: z.array(address).max(MAX_LOCAL_PREFIXES),
  }),
  z.object({
    type: z.literal('update'),
    tunnelKey: signedTunnelKey.optional(),
    relayRtts: relayRtts.optional(),
    previousTunnelKey: signedTunnelKey.optional(),
  }),
  z.object({ type: z.literal('signal'), to: key, body: signalBody }),
  z.object({ type: z.literal('consent'), identity: key, isGiven: z.boolean() }),
  z.object({ type: z.literal('ping') }),
  z.object({ type: z.literal('leave') }),
  relayHello,
  relayReport,
])

const ticket = z.string().max(400)
const place = { network: name, prefix4, prefix6, name, v4: address, v6: address }

const refused = z.object({
  type: z.literal('refused'),
  code: z.enum(REFUSAL_CODES),
  message: z.string().max(500),
  hint: z.string().max(500),
  retryAfterS: z.number().int().min(0).max(MAX_RETRY_AFTER_S).optional(),
  removedAtS: z.number().int().min(0).optional(),
  nowS: z.number().int().min(0).optional(),
})

/** As relays hear it, too. */
export const refusalMessage: z.ZodType<Refusal> = refused

export const hubMessage: z.ZodType<HubMessage> = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('welcome'),
    ...place,
    relays: z.array(relayInfo).max(64),
    stun: z.array(z.object({ host, port })).max(16),
    ticket,
    nowS: z.number().int().min(0).optional(),
    needsConsent: z.boolean().optional(),
  }),
  z.object({ type: z.literal('pending'), ...place, hint: z.string().max(500) }),
  z.object({
    type: z.literal('nodes'),
    changed: z.array(nodeInfo).max(MAX_NODES_PER_MESSAGE),
    removed: z.array(key).max(MAX_NODES_PER_MESSAGE),
    isComplete: z.boolean().optional(),
  }),
  z.object({
    type: z.literal('asking'),
    changed: z.array(askingNode).max(MAX_ASKING_PER_MESSAGE),
    removed: z.array(key).max(MAX_ASKING_PER_MESSAGE),
    isFirst: z.boolean().optional(),
  }),
  z.object({ type: z.literal('signal'), from: key, body: signalBody }),
  z.object({ type: z.literal('ticket'), ticket }),
  z.object({ type: z.literal('hubKey'), key, untilS: z.number().int().min(0) }),
  z.object({ type: z.literal('pong') }),
  refused,
])

function isPrefix(text: string, family: 4 | 6, leastBits: number): boolean {
  const prefix = tryParsePrefix(text)
  return prefix !== undefined && prefix.address.family === family && prefix.bits >= leastBits
}

/** Label of the proof in a hello. */
export const PROOF_LABEL = 'overlay control proof v1'

export function encodeMessage(message: NodeMessage | HubMessage | RelayMessage): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message))
}

/** Undefined if it is none, or too long. */
export function tryDecodeMessage<T>(schema: z.ZodType<T>, bytes: Uint8Array): T | undefined {
  if (bytes.length > MAX_MESSAGE_BYTES) return undefined
  try {
    return schema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data
  } catch {
    return undefined
  }
}
