/**
 * The directory of a network: who is in it and who may know whom, as its hub tells relays. Relays learn
 * identities, tags as numbers, and who agreed with whom, and nothing else of a node.
 *
 * The hub tells the whole of it first, in parts from `isFirst` to `isComplete`, and then whatever changed.
 * Each message carries the epoch, a number that only rises: whoever was put out of the network, or lost somebody's
 * consent, stays out for every relay that has heard that epoch.
 */

/** Of each list of one message: keeps it below MAX_MESSAGE_BYTES. */
export const MAX_DIRECTORY_ENTRIES = 150

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

/** The policy of tags: two nodes share one, or one of them has none. */
export function tagsAllow<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === 0 || other.length === 0 || one.some((tag) => other.includes(tag))
}
