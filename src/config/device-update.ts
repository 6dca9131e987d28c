/** TunnelConfig -> DeviceUpdate: what a device must be set to, whole. Changes are in diff.ts. */

import { type Endpoint, formatHostEndpoint } from '../net/endpoint.js'
import type { DeviceUpdate, PeerUpdate } from '../wireguard/configuration.js'
import type { PeerConfig, TunnelConfig } from './types.js'

/** Addresses found for the endpoints of a file, by their text (formatHostEndpoint). */
export type ResolvedEndpoints = ReadonlyMap<string, Endpoint>

/**
 * Makes a device exactly what `config` says. A peer whose endpoint is not resolved gets none. A
 * private key that is not known (still in its file) is left as it is.
 */
export function toDeviceUpdate(config: TunnelConfig, endpoints: ResolvedEndpoints): DeviceUpdate {
  const { privateKey, listenPort, fwMark } = config.interface
  return {
    ...(privateKey !== undefined && { privateKey }),
    ...(listenPort !== undefined && { listenPort }),
    fwmark: fwMark,
    replacePeers: true,
    peers: config.peers.map((peer) => toPeerUpdate(peer, endpoints)),
  }
}

/** Everything about one peer. */
export function toPeerUpdate(peer: PeerConfig, endpoints: ResolvedEndpoints): PeerUpdate {
  const endpoint = resolvedEndpoint(peer, endpoints)
  return {
    publicKey: peer.publicKey,
    presharedKey: peer.presharedKey ?? null,
    ...(endpoint !== undefined && { endpoint }),
    persistentKeepaliveS: peer.persistentKeepaliveS,
    replaceAllowedIps: true,
    allowedIps: peer.allowedIps.map((prefix) => ({ prefix })),
  }
}

/** Undefined if the peer has no endpoint, or none that was resolved. */
export function resolvedEndpoint(peer: PeerConfig, endpoints: ResolvedEndpoints): Endpoint | undefined {
  return peer.endpoint === undefined ? undefined : endpoints.get(formatHostEndpoint(peer.endpoint))
}
