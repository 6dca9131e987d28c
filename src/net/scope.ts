/** How far an address is from this machine, and what follows for servers that others name. Pure. */

import { equalIp, type IpAddress } from './ip.js'
import { type Prefix, prefixContains, tryParsePrefix } from './prefix.js'

/** `nowhere`: nobody is there, everybody is, or what must not be asked for somebody else. */
export type AddressScope = 'nowhere' | 'loopback' | 'link' | 'site' | 'world'

/** The first that fits. */
const SCOPES: readonly (readonly [AddressScope, readonly Prefix[]])[] = [
  // Metadata services of clouds hand out credentials to whatever asks from inside.
  ['nowhere', prefixes('169.254.169.254/32', 'fd00:ec2::254/128', '0.0.0.0/8', '::/128')],
  ['nowhere', prefixes('224.0.0.0/3', 'ff00::/8')],
  ['loopback', prefixes('127.0.0.0/8', '::1/128')],
  ['link', prefixes('169.254.0.0/16', 'fe80::/10')],
  ['site', prefixes('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7')],
]

export function scopeOf(address: IpAddress): AddressScope {
  const found = SCOPES.find(([, list]) => list.some((prefix) => prefixContains(prefix, address)))
  return found?.[0] ?? 'world'
}

/**
 * Whether a node connects to a relay or STUN server because its hub names it. Otherwise a hub could make every node
 * a probe of its own local network: what is nearer than the world is taken only where the hub itself is that near.
 */
export function isServerAllowed(server: IpAddress, hub: readonly IpAddress[]): boolean {
  const scope = scopeOf(server)
  if (scope === 'world') return true
  if (scope === 'nowhere') return false
  return hub.some((address) => (scope === 'site' ? scopeOf(address) === scope : equalIp(address, server)))
}

function prefixes(...texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => tryParsePrefix(text) ?? [])
}
