/** What addresses this machine uses or has a way to, so that a network or a tunnel does not take them unseen. */

import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { type Prefix, tryParsePrefix } from '../net/prefix.js'
import { listRoutes } from './network.js'

/** The second is where systemd-resolved tells the servers behind its stub. */
const RESOLVER_FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']

/** Of IPv4: own addresses, routes with their gateways, and name servers. Throws PlatformError. */
export function usedPrefixes(): Prefix[] {
  const routes = listRoutes(4)
  const gateways = routes.flatMap(({ gateway }) =>
    gateway === undefined ? [] : [{ address: gateway, bits: 32 }],
  )
  const servers = nameServers().filter(({ address }) => address.family === 4)
  return [...routes.map(({ prefix }) => prefix), ...gateways, ...ownAddresses(), ...servers]
}

function ownAddresses(): Prefix[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.flatMap(({ family, address }) => (family === 'IPv4' ? (tryParsePrefix(address) ?? []) : []))
}

/** Each of its full length. */
export function nameServers(): Prefix[] {
  return RESOLVER_FILES.flatMap((path) =>
    [...tryRead(path).matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(
      ([, text = '']) => tryParsePrefix(text) ?? [],
    ),
  )
}

function tryRead(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
