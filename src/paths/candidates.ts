/** Where a node may be reached: which endpoints it names, and which of those another one should try. */

import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import { equalIp, type IpAddress } from '../net/ip.js'
import { type Prefix, prefixContains } from '../net/prefix.js'
import { isPrivate, isUnreachableForOthers } from '../net/special-addresses.js'
import type { Candidate, CandidateKind } from './disco.js'
import type { IsOverlay, OwnPosition } from './finder-types.js'

/** What a path is like, best first: nearer beats farther, and what needs no NAT beats what does. */
export const PATH_KINDS = ['lan', 'direct', 'mapped', 'punched', 'tcp', 'relay'] as const
export type PathKind = (typeof PATH_KINDS)[number]

/** Whether something may be sent there because a peer says so. */
export function isWorthTrying(
  { address, port }: Endpoint,
  own: Pick<OwnPosition, 'prefixes' | 'isOverlay'>,
): boolean {
  if (port < 1024 && port !== 443 && port !== 500) return false
  if (isUnreachableForOthers(address) || own.isOverlay(address)) return false
  return !own.prefixes.some((prefix) => equalIp(prefix.address, address))
}

/** Whether others may be told that this machine is there. */
export function isWorthNaming(address: IpAddress, isOverlay: IsOverlay): boolean {
  return !isUnreachableForOthers(address) && !isOverlay(address)
}

/** What kind of path a proven endpoint is. */
export function pathKindOf(
  remote: Endpoint,
  peer: { readonly candidates: readonly Candidate[]; readonly isOpen: boolean },
  own: { readonly prefixes: readonly Prefix[]; readonly isOpen: boolean },
): PathKind {
  const { address } = remote
  if (own.prefixes.some((prefix) => prefix.bits < hostBits(prefix) && prefixContains(prefix, address)))
    return 'lan'
  const kind = kindOf(remote, peer.candidates)
  if (kind === 'mapped') return 'mapped'
  if (kind === 'local') return isPrivate(address) ? 'lan' : 'direct'
  return peer.isOpen || own.isOpen ? 'direct' : 'punched'
}

function kindOf(remote: Endpoint, candidates: readonly Candidate[]): CandidateKind | undefined {
  const text = formatEndpoint(remote)
  const kinds = candidates
    .filter(({ kind, endpoint }) => kind !== 'tcp' && formatEndpoint(endpoint) === text)
    .map(({ kind }) => kind)
  // What servers see is no translation if it is the machine's own.
  return kinds.includes('local') ? 'local' : kinds[0]
}

function hostBits(prefix: Prefix): number {
  return 8 * prefix.address.bytes.length
}
