/** What IPv4 addresses this machine uses or has a way to, so that a network does not take them. */

import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { type Prefix, tryParsePrefix } from '../net/prefix.js'
import { listRoutes } from './network.js'

/** The second is where systemd-resolved tells the servers behind its stub. */
const RESOLVER_FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']

/** Own addresses, routes with their gateways, and name servers. Throws PlatformError. */
export function usedPrefixes(): Prefix[] {
  const routes = listRoutes(4)
  const gateways = routes.flatMap(({ gateway }) =>
    gateway === undefined ? [] : [{ address: gateway, bits: 32 }],
  )
  return [...routes.map(({ prefix }) => prefix), ...gateways, ...ownAddresses(), ...nameServers()]
}

function ownAddresses(): Prefix[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.flatMap(({ family, address }) => (family === 'IPv4' ? (tryParsePrefix(address) ?? []) : []))
}

function nameServers(): Prefix[] {
  return RESOLVER_FILES.flatMap((path) =>
    [...tryRead(path).matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, text = '']) => {
      const server = tryParsePrefix(text)
      return server?.address.family === 4 ? [server] : []
    }),
  )
}

function tryRead(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
