/** What a path finder is told, and what it asks for. */

import type { Endpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import type { Path } from '../net/path.js'
import type { Prefix } from '../net/prefix.js'
import type { PathKind } from './candidates.js'
import type { Candidate } from './disco.js'
import type { Mapping } from './nat.js'

/**
 * Whether an address is inside an overlay, or leads into one: a tunnel in itself, or two in each other, would carry
 * each packet for ever. Routes change: what was not may be.
 */
export type IsOverlay = (address: IpAddress) => boolean

/** What this node is reached at, and by which sockets it sends. */
export interface OwnPosition {
  readonly sockets: { readonly v4: number | undefined; readonly v6: number | undefined }
  readonly candidates: readonly Candidate[]
  readonly prefixes: readonly Prefix[]
  readonly isOverlay: IsOverlay
  readonly mapping: Mapping
  /** Of external ports where the mapping is hard; both 0 if not known. */
  readonly ports: readonly [low: number, high: number]
  readonly isSequential: boolean
  /** Sessions that a search may begin: few where the router was seen to be full; undefined if it is not known. */
  readonly maxSessions: number | undefined
  /** Of an idle mapping, if that was found out. */
  readonly lifetimeMs: number | undefined
  /** Of a datagram of data with a full packet in it. */
  readonly wideBytes: number
  /** The network here knows STUN and drops it: servers are asked under a veil (veil.ts). */
  readonly isStunDropped: boolean
  /** Asked by techniques for hard NATs. */
  readonly stunServer: Endpoint | undefined
}

/** Live, from the data plane: times on the caller's clock, 0 for never. */
export interface PeerActivity {
  readonly lastSendMs: number
  readonly lastDataSendMs: number
  /** Not later than lastReceiveMs if all is answered. */
  readonly firstUnansweredSendMs: number
  readonly lastReceiveMs: number
  readonly lastDataReceiveMs: number
  /** When the newest keypair was agreed upon. */
  readonly keypairMs: number
  /** When the initiation that waits for its answer was sent; 0 if none does. */
  readonly initiationMs: number
  /** Over which the last one was answered; undefined if none was, or the peer's own handshake was used instead. */
  readonly responsePath: Path | undefined
}

export type FinderEffect =
  /** `hops`: after which it is to be thrown away on the way; undefined for none. */
  | {
      readonly kind: 'send'
      readonly path: Path
      readonly bytes: Uint8Array
      readonly hops?: number | undefined
    }
  /** Data goes there from now on. */
  | { readonly kind: 'usePath'; readonly path: Path; readonly pathKind: PathKind }
  /** See HandshakePaths. */
  | { readonly kind: 'useHandshakePaths'; readonly paths: readonly Path[]; readonly patienceMs: number }
  /** An empty message, sealed for the peer, over the path that data takes. */
  | { readonly kind: 'sendKeepalive' }
  /** Fresh sockets for a search, answered by handleSockets; their numbers are negative. */
  | { readonly kind: 'openSockets'; readonly count: number }
  /** It carries a proven path, which the peer may have chosen: it becomes a data socket, told by handleAdopted. */
  | { readonly kind: 'keepSocket'; readonly socket: number }
  /** The search is over: those that carry no path are not needed any more. */
  | { readonly kind: 'closeSockets' }
  /** For a large search: one at a time, answered by handleTurn. `isAwaited`: the peer is ready now. */
  | { readonly kind: 'askTurn'; readonly isAwaited: boolean }
  /** It is over. */
  | { readonly kind: 'endTurn' }
  /** Measure how many sessions the router here has left, answered by handleRoom. */
  | { readonly kind: 'askRoom' }
  /** It is full with about so many. */
  | { readonly kind: 'full'; readonly sockets: number }
  /** The peer's program was started anew: it has none of the keypairs that were agreed. */
  | { readonly kind: 'restarted' }
  /** The path that carries data does not answer at once: what is between here and the rest of the world may have changed. */
  | { readonly kind: 'suspect' }
  /** A path was lost: this node's own endpoints may be others by now. */
  | { readonly kind: 'lost' }
  /** A socket of its own that carried a path. */
  | { readonly kind: 'releaseSocket'; readonly socket: number }
  /** Learn as whom servers see a TCP port of ours, answered by handleTcpReady. */
  | { readonly kind: 'prepareTcp' }
  /** Connect from that port, until endTcp; each connection is a stream, told by handleStream. */
  | { readonly kind: 'dialTcp'; readonly endpoints: readonly Endpoint[] }
  | { readonly kind: 'endTcp' }
  /** The peer has answered over it: it stays until closeStream. */
  | { readonly kind: 'keepStream'; readonly path: Path }
  | { readonly kind: 'closeStream'; readonly path: Path }

/** When data went either way last; 0 for never. */
export function lastUseOf(activity: PeerActivity): number {
  return Math.max(activity.lastDataSendMs, activity.lastDataReceiveMs)
}
