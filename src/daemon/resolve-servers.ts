/** Host names of servers -> endpoints of both families. */

import { lookup } from 'node:dns/promises'
import type { Endpoint, HostEndpoint } from '../net/endpoint.js'
import { tryParseIp } from '../net/ip.js'
import type { AddressCheck } from '../platform/checked-lookup.js'

export interface ResolveOptions {
  readonly onFailure?: (server: HostEndpoint, error: unknown) => void
  readonly isAllowed?: AddressCheck
}

/** Names that lead nowhere are left out, and `onFailure` is told of each; so is what is not allowed. */
export async function resolveServers(
  servers: readonly HostEndpoint[],
  { onFailure, isAllowed }: ResolveOptions = {},
): Promise<Endpoint[]> {
  const answers = await Promise.all(
    servers.map(async (server) => {
      const { host, port } = server
      const literal = tryParseIp(host)
      if (literal !== undefined) return [{ address: literal, port, scopeId: 0 }]
      try {
        const found = await lookup(host, { all: true })
        return found.flatMap(({ address }) => {
          const ip = tryParseIp(address)
          return ip === undefined ? [] : [{ address: ip, port, scopeId: 0 }]
        })
      } catch (error) {
        onFailure?.(server, error)
        return []
      }
    }),
  )
  const endpoints = answers.flat()
  if (isAllowed === undefined) return endpoints
  const verdicts = await Promise.all(endpoints.map(({ address }) => isAllowed(address)))
  return endpoints.filter((_, index) => verdicts[index])
}
