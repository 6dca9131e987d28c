/** Whether the routes of this machine lead to the endpoints of peers, or into a tunnel. */

import type { OtherRoute } from '../config/endpoint-loops.js'
import { formatIp, type IpAddress } from '../net/ip.js'
import { prefixContains } from '../net/prefix.js'
import { listLinks, listRoutes, MAIN_TABLE, tryFindLink } from '../platform/network.js'
import type { LiveDevice } from './live-device.js'

/** What the machine has in its main table beside the routes of the tunnel. */
export function mainRouteTo(address: IpAddress, interfaceName: string): OtherRoute | undefined {
  const own = tryFindLink(interfaceName)?.index
  const routes = listRoutes(address.family, MAIN_TABLE).filter(
    ({ prefix, linkIndex }) => linkIndex !== own && prefixContains(prefix, address),
  )
  const [best] = routes.sort((a, b) => b.prefix.bits - a.prefix.bits)
  if (best === undefined) return undefined
  const via = best.gateway === undefined ? '' : `via ${formatIp(best.gateway)} `
  return { bits: best.prefix.bits, way: `${via}dev ${nameOf(best.linkIndex)}` }
}

function nameOf(linkIndex: number): string {
  return listLinks().find(({ index }) => index === linkIndex)?.name ?? String(linkIndex)
}

/** In words, if the route to an endpoint leads into a tunnel of ours, or would need its address; undefined if not. */
export function describeEndpointRoute(address: IpAddress, device: LiveDevice): string | undefined {
  const tunnel = device.underlay.tunnelTo(address, true)
  if (!device.isAway && tunnel?.index === device.tun.linkIndex) {
    return `its route leads into ${tunnel.name} itself, so it is never reached: give it a way of its own, or take it out of AllowedIPs`
  }
  if (tunnel?.isOurs === true) return `its route leads into ${tunnel.name}, another tunnel of this machine`
  const path = { socket: 0, remote: { address, port: 1, scopeId: 0 }, local: undefined }
  if (device.underlay.outerPath(path) !== undefined) return undefined
  return `this machine has no IPv${address.family} address but those of tunnels, so nothing is sent there`
}
