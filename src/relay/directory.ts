/**
 * Who may come in to a relay, and who may speak with whom there. The relay asks at every new connection and
 * at the first message between two clients; what is decided is the hub's.
 */

/** What the hub said last. */
export interface RelayDirectory {
  /** Whether an identity may come in, by its ticket or by a list. */
  mayEnter(identity: Uint8Array, ticket: Uint8Array): boolean
  /** Whether two identities, in base64, may know each other; the same either way round. */
  mayTalk(one: string, other: string): boolean
}
