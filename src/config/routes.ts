/** Routes that a tunnel wants: its allowed IPs, in the order in which `wg-quick` adds them. */

import { formatPrefix, type Prefix } from '../net/prefix.js'
import type { TunnelConfig } from './types.js'

/** Each allowed IP once, the most specific first; none if the file says `Table = off`. */
export function routesOf(config: TunnelConfig): readonly Prefix[] {
  if (config.interface.table === 'off') return []
  const routes = new Map<string, Prefix>()
  for (const peer of config.peers) {
    for (const prefix of peer.allowedIps) routes.set(formatPrefix(prefix), prefix)
  }
  return [...routes.values()].sort((a, b) => b.bits - a.bits)
}
