/** A path: from which of our sockets, to which remote endpoint, from which local address. */

import { type Endpoint, equalEndpoint } from './endpoint.js'
import { equalIp, type IpAddress } from './ip.js'

/** Names an outer socket of one data plane; never reused while it runs. */
export type SocketId = number

export interface Path {
  readonly socket: SocketId
  readonly remote: Endpoint
  /** Local address to send from; undefined lets the kernel choose. Same family as `remote`. */
  readonly local: IpAddress | undefined
}

/** The same to the peer, whichever address of ours it is sent from. */
export function leadsAlike(a: Path, b: Path): boolean {
  return a.socket === b.socket && equalEndpoint(a.remote, b.remote)
}

export function equalPath(a: Path, b: Path): boolean {
  if (!leadsAlike(a, b)) return false
  if (a.local === undefined || b.local === undefined) return a.local === b.local
  return equalIp(a.local, b.local)
}
