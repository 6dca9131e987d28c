/**
 * The MTU of a tunnel whose file names none: what the paths to its endpoints carry, less the
 * overhead of WireGuard over IPv6. As `wg-quick` does it: the largest path counts, because path MTU
 * discovery repairs what is too large, and nothing repairs what is too small.
 */

import { DEFAULT_MTU, MAX_OVERHEAD_BYTES } from '../wireguard/constants.js'

export const IPV6_MIN_MTU = 1280 // RFC 8200 section 5
/** Of the loopback interface; no larger packet fits into a datagram. */
const MAX_PATH_MTU = 65536

/**
 * At least 1280, so that IPv6 works inside. `endpointRouteMtus`: of the routes to endpoints;
 * `defaultRouteMtus`: of the default routes, asked if no endpoint has a route.
 */
export function mtuFromPaths(
  endpointRouteMtus: readonly number[],
  defaultRouteMtus: readonly number[],
): number {
  const path = Math.max(0, ...endpointRouteMtus) || Math.max(0, ...defaultRouteMtus)
  if (path === 0) return DEFAULT_MTU
  return Math.max(IPV6_MIN_MTU, Math.min(path, MAX_PATH_MTU) - MAX_OVERHEAD_BYTES)
}
