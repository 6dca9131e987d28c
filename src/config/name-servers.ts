/**
 * Whether questions to name servers would go into the tunnel once it is up, and be lost there as long as the endpoint of
 * its peer is not known: then names have to be resolved before. Pure.
 */

import { type Prefix, prefixContains } from '../net/prefix.js'
import { routesOf } from './routes.js'
import type { TunnelConfig } from './types.js'

/** Shorter ones stand for everything: two halves of it are a default route in disguise. */
const DEFAULT_BITS = 1

/** `servers`: those of this machine. `hasDns`: the servers that the file names count. */
export function takesNameServers(
  config: TunnelConfig,
  { servers, hasDns }: { readonly servers: readonly Prefix[]; readonly hasDns: boolean },
): boolean {
  if (hasDns && config.interface.dns.servers.length > 0) return true
  return routesOf(config).some(
    (route) => route.bits <= DEFAULT_BITS || servers.some(({ address }) => prefixContains(route, address)),
  )
}
