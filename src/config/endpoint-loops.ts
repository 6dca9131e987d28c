/**
 * Endpoints of a tunnel file that the tunnel's own routes lead into the tunnel: what is sent there comes back inside,
 * and the peer is never reached. wg-quick has the same trap, and says nothing. Pure.
 */

import { formatIp, type IpAddress, tryParseIp } from '../net/ip.js'
import { addressBits, formatPrefix, maskPrefix, type Prefix, prefixContains } from '../net/prefix.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import { routesOf } from './routes.js'
import type { PeerConfig, TunnelConfig } from './types.js'

/** How the machine gets to an address without the tunnel. */
export interface OtherRoute {
  /** Length of the prefix that the route is for. */
  readonly bits: number
  /** As `ip route add PREFIX` takes it: `via 192.0.2.1 dev eth0`. */
  readonly way: string
}

/** In words, with what helps. `routeTo`: of the main table; undefined if there is none. */
export function findEndpointLoops(
  config: TunnelConfig,
  routeTo: (address: IpAddress) => OtherRoute | undefined,
): string[] {
  return config.peers.flatMap((peer) => {
    const address = tryParseIp(peer.endpoint?.host ?? '')
    const inside = address && longest(ownRoutes(config), address)
    if (address === undefined || inside === undefined || isRoutedByHook(config, address)) return []
    const other = routeTo(address)
    return other !== undefined && other.bits >= inside.bits ? [] : [describe(peer, address, inside, other)]
  })
}

/** Those that go into the main table. A default route goes elsewhere, and leaves the tunnel's own datagrams alone. */
function ownRoutes(config: TunnelConfig): Prefix[] {
  const { addresses, table } = config.interface
  const routes = table === 'auto' ? routesOf(config).filter(({ bits }) => bits > 0) : []
  return [...addresses, ...routes].map(maskPrefix)
}

function longest(prefixes: readonly Prefix[], address: IpAddress): Prefix | undefined {
  const holding = prefixes.filter((prefix) => prefixContains(prefix, address))
  return holding.sort((a, b) => b.bits - a.bits)[0]
}

/** A hook that names the address gives it a way of its own, most likely. */
function isRoutedByHook({ interface: { preUp, postUp } }: TunnelConfig, address: IpAddress): boolean {
  return [...preUp, ...postUp].some((hook) => hook.includes(formatIp(address)))
}

function describe(
  { name, publicKey }: PeerConfig,
  address: IpAddress,
  inside: Prefix,
  other: OtherRoute | undefined,
): string {
  const host = `${formatIp(address)}/${addressBits(address)}`
  const what = `the endpoint of ${name ?? formatKeyBase64(publicKey)} is never reached: ${formatPrefix(inside)} leads ${formatIp(address)} into the tunnel itself`
  if (inside.bits === addressBits(address)) return `${what}; take ${host} out of AllowedIPs`
  if (other === undefined) return `${what}; give it a way of its own: ip route add ${host} via ROUTER`
  const command = `ip ${address.family === 6 ? '-6 ' : ''}route`
  return `${what}; give it a way of its own, two lines in [Interface]: PreUp = ${command} add ${host} ${other.way} and PostDown = ${command} del ${host} ${other.way}`
}
