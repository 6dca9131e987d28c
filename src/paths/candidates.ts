/** Where a node may be reached: which endpoints it names, and which of those another one should try. */

import { type Endpoint, formatEndpoint } from '../net/endpoint.js'
import { equalIp, type IpAddress } from '../net/ip.js'
import { type Prefix, prefixContains, tryParsePrefix } from '../net/prefix.js'
import type { Candidate, CandidateKind } from './disco.js'

/** What a path is like, best first: nearer beats farther, and what needs no NAT beats what does. */
export const PATH_KINDS = ['lan', 'direct', 'mapped', 'punched', 'tcp', 'relay'] as const
export type PathKind = (typeof PATH_KINDS)[number]

const PRIVATE: readonly Prefix[] = prefixes(
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  'fc00::/7',
)
/** Nobody is reached there, or everybody. */
const NEVER: readonly Prefix[] = prefixes(
  '0.0.0.0/8',
  '127.0.0.0/8',
  '224.0.0.0/3',
  '::/128',
  '::1/128',
  'ff00::/8',
  'fe80::/10',
)
const LINK_LOCAL: readonly Prefix[] = prefixes('169.254.0.0/16', 'fe80::/10')

/** Addresses of this machine that others may be told. `exclude`: prefixes of the overlay's own interface. */
export function usableAddresses(addresses: readonly Prefix[], exclude: readonly Prefix[]): Prefix[] {
  return addresses.filter(({ address }) => {
    const all = [...NEVER, ...LINK_LOCAL, ...exclude]
    return !all.some((prefix) => prefixContains(prefix, address))
  })
}

/** Whether something may be sent there because a peer says so. */
export function isWorthTrying(endpoint: Endpoint, own: readonly IpAddress[]): boolean {
  const { address, port } = endpoint
  if (port < 1024 && port !== 443 && port !== 500) return false
  if (NEVER.some((prefix) => prefixContains(prefix, address))) return false
  return !own.some((other) => equalIp(other, address))
}

export function isPrivate(address: IpAddress): boolean {
  return PRIVATE.some((prefix) => prefixContains(prefix, address))
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

function prefixes(...texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => tryParsePrefix(text) ?? [])
}
