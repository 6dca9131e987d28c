/** Host names of servers -> endpoints of both families. */

import { lookup } from 'node:dns/promises'
import type { Endpoint, HostEndpoint } from '../net/endpoint.js'
import { tryParseIp } from '../net/ip.js'

/** Names that lead nowhere are left out; `onFailure` is told of each. */
export async function resolveServers(
  servers: readonly HostEndpoint[],
  onFailure?: (server: HostEndpoint, error: unknown) => void,
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
  return answers.flat()
}
