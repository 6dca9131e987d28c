/**
 * The directory of a network: who is in it and who may know whom, as its hub tells relays. Relays learn
 * identities, tags as numbers, and who agreed with whom, and nothing else of a node.
 *
 * The hub tells the whole of it first, in parts from `isFirst` to `isComplete`, and then whatever changed.
 * Each message carries the epoch, a number that only rises: whoever was put out of the network, or lost somebody's
 * consent, stays out for every relay that has heard that epoch.
 */

import { z } from 'zod'

/** Of each list of one message: keeps it below MAX_MESSAGE_BYTES. */
export const MAX_DIRECTORY_ENTRIES = 150
const MAX_TAGS = 16

export interface DirectoryNode {
  /** Base64. */
  readonly identity: string
  /** Numbers mean tags for as long as the session lasts. */
  readonly tags: readonly number[]
}

/** Two identities, in base64. */
export type DirectoryPair = readonly [one: string, other: string]

export interface DirectoryMessage {
  readonly type: 'directory'
  readonly epoch: number
  /** Seconds since 1970, by the hub's clock. */
  readonly atS: number
  /** Begins the whole: what was heard before is replaced when it is complete. */
  readonly isFirst?: boolean | undefined
  /** With `isFirst`: two nodes may know each other only when they agreed. */
  readonly needsConsent?: boolean | undefined
  readonly isComplete?: boolean | undefined
  readonly changed: readonly DirectoryNode[]
  readonly removed: readonly string[]
  /** Both have said yes to each other; told where the network asks for consent. */
  readonly agreed: readonly DirectoryPair[]
  readonly parted: readonly DirectoryPair[]
}

/** What a relay keeps of a directory, for a start while its hub is away. */
export interface StoredDirectory {
  readonly epoch: number
  /** Seconds, by the hub's clock: of its last word. */
  readonly heardS: number
  /** The same by this machine's wall clock, ms. */
  readonly heardAtMs: number
  readonly needsConsent: boolean
  readonly nodes: readonly DirectoryNode[]
  readonly pairs: readonly DirectoryPair[]
}

/** First word of a relay to its hub. */
export interface RelayHello {
  readonly type: 'relay'
  readonly version: 1
  readonly identity: string
  /** Over the session's handshake hash. */
  readonly proof: string
  /** The latest that it has heard; 0 for none. */
  readonly epoch: number
}

/** From time to time: what the relay believes. Answered by a beat. */
export interface RelayReport {
  readonly type: 'heard'
  readonly epoch: number
}

interface RelayWelcome {
  readonly type: 'relayWelcome'
  readonly network: string
  /** Base64: signs tickets. */
  readonly ticketKey: string
}

/** The hub lives. */
interface DirectoryBeat {
  readonly type: 'beat'
  /** Seconds since 1970, by the hub's clock. */
  readonly atS: number
  /** The key of the hub's sessions changes. */
  readonly change?: KeyChange | undefined
}

/** As nodes hear it, too. */
export interface KeyChange {
  /** The next key of sessions, in base64. */
  readonly key: string
  /** Seconds since 1970, until which the one before counts as well. */
  readonly untilS: number
}

/** What a hub says to a relay; a refusal is as nodes hear it. */
export type RelayMessage = RelayWelcome | DirectoryMessage | DirectoryBeat

const key = z.string().length(44)
const count = z.number().int().min(0)
const pairs = z.array(z.tuple([key, key])).max(MAX_DIRECTORY_ENTRIES)
const directoryNode: z.ZodType<DirectoryNode> = z.object({
  identity: key,
  tags: z.array(count).max(MAX_TAGS),
})

export const relayHello: z.ZodObject<{
  type: z.ZodLiteral<'relay'>
  version: z.ZodLiteral<1>
  identity: z.ZodString
  proof: z.ZodString
  epoch: z.ZodNumber
}> = z.object({
  type: z.literal('relay'),
  version: z.literal(1),
  identity: key,
  proof: z.string().length(88),
  epoch: count,
})

export const relayReport: z.ZodObject<{ type: z.ZodLiteral<'heard'>; epoch: z.ZodNumber }> = z.object({
  type: z.literal('heard'),
  epoch: count,
})

export const relayMessage: z.ZodType<RelayMessage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('relayWelcome'), network: z.string().max(63), ticketKey: key }),
  z.object({
    type: z.literal('beat'),
    atS: count,
    change: z.object({ key, untilS: count }).optional(),
  }),
  z.object({
    type: z.literal('directory'),
    epoch: count,
    atS: count,
    isFirst: z.boolean().optional(),
    needsConsent: z.boolean().optional(),
    isComplete: z.boolean().optional(),
    changed: z.array(directoryNode).max(MAX_DIRECTORY_ENTRIES),
    removed: z.array(key).max(MAX_DIRECTORY_ENTRIES),
    agreed: pairs,
    parted: pairs,
  }),
])

export const storedDirectory: z.ZodType<StoredDirectory> = z.object({
  epoch: count,
  heardS: count,
  heardAtMs: z.number(),
  needsConsent: z.boolean(),
  nodes: z.array(directoryNode),
  pairs: z.array(z.tuple([key, key])),
})

/** The policy of tags: two nodes share one, or one of them has none. */
export function tagsAllow<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === 0 || other.length === 0 || one.some((tag) => other.includes(tag))
}
