/** Which of the servers that a hub names a node connects to: see `isServerAllowed`. */

import type { HostEndpoint } from '../../net/endpoint.js'
import type { IpAddress } from '../../net/ip.js'
import { isServerAllowed } from '../../net/scope.js'
import type { AddressCheck } from '../../platform/checked-lookup.js'
import { resolveServers } from '../resolve-servers.js'

const FRESH_MS = 60_000

/** The hub's name is asked for only if a server is not out in the world, and once a minute at most. */
export function createServerCheck(hub: HostEndpoint, nowMs: () => number): AddressCheck {
  let asked: Promise<IpAddress[]> | undefined
  let askedMs = Number.NEGATIVE_INFINITY
  const hubAddresses = async (): Promise<IpAddress[]> => {
    if (asked === undefined || nowMs() - askedMs > FRESH_MS) {
      askedMs = nowMs()
      asked = resolveServers([hub]).then((endpoints) => endpoints.map(({ address }) => address))
    }
    return await asked
  }
  return async (address) => isServerAllowed(address, []) || isServerAllowed(address, await hubAddresses())
}
