/**
 * SaveConfig: writes the live state of a tunnel back into its file, as wg-quick does: peers, keys,
 * endpoints, port and addresses as they are now, all else as the file said.
 *
 * DEVIATION: a host name stays where the peer is still at the address it led to; wg-quick would write
 * the address. A mark that was chosen for a default route is not written: it is chosen anew.
 */

import { type ResolvedEndpoints, resolvedEndpoint } from '../config/device-update.js'
import { formatConfig } from '../config/format.js'
import type { PeerConfig, TunnelConfig } from '../config/types.js'
import { equalEndpoint, type HostEndpoint } from '../net/endpoint.js'
import { equalIp, formatIp } from '../net/ip.js'
import type { Prefix } from '../net/prefix.js'
import { replaceFile } from '../platform/replace-file.js'
import type { DeviceSnapshot, PeerSnapshot } from '../wireguard/configuration.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import type { LiveDevice } from './live-device.js'

export interface SaveRequest {
  readonly configFile: string
  readonly config: TunnelConfig
  readonly device: LiveDevice
  readonly endpoints: ResolvedEndpoints
}

export function saveConfig(request: SaveRequest): void {
  const { configFile, device } = request
  const live = mergeLiveState(request.config, {
    device: device.engine.snapshot(),
    // Elsewhere they are others', and routes to the file's are not made.
    addresses: device.isAway ? request.config.interface.addresses : device.tun.addresses(),
    endpoints: request.endpoints,
  })
  replaceFile(configFile, formatConfig(live), `cannot save the state to ${configFile}`)
}

export interface LiveState {
  readonly device: DeviceSnapshot
  readonly addresses: readonly Prefix[]
  /** What the host names of the file led to. */
  readonly endpoints: ResolvedEndpoints
}

export function mergeLiveState(config: TunnelConfig, live: LiveState): TunnelConfig {
  const known = new Map(config.peers.map((peer) => [formatKeyBase64(peer.publicKey), peer]))
  return {
    ...config,
    interface: {
      ...config.interface,
      privateKey: live.device.privateKey,
      listenPort: live.device.listenPort,
      addresses: live.addresses.filter((address) => !isLinkLocal(address) || isInFile(address, config)),
    },
    // Managed peers are the hub's to name, not the file's.
    peers: live.device.peers
      .filter((peer) => !peer.isManaged)
      .map((peer) => mergePeer(peer, known.get(formatKeyBase64(peer.publicKey)), live.endpoints)),
  }
}

function mergePeer(
  peer: PeerSnapshot,
  known: PeerConfig | undefined,
  endpoints: ResolvedEndpoints,
): PeerConfig {
  return {
    name: known?.name,
    publicKey: peer.publicKey,
    presharedKey: peer.presharedKey,
    allowedIps: peer.allowedIps,
    endpoint: mergeEndpoint(peer, known, endpoints),
    persistentKeepaliveS: peer.persistentKeepaliveS,
  }
}

function mergeEndpoint(
  peer: PeerSnapshot,
  known: PeerConfig | undefined,
  endpoints: ResolvedEndpoints,
): HostEndpoint | undefined {
  const now = peer.endpoint
  if (now === undefined) return known?.endpoint
  const resolved = known === undefined ? undefined : resolvedEndpoint(known, endpoints)
  if (resolved !== undefined && equalEndpoint(resolved, now)) return known?.endpoint
  const zone = now.scopeId === 0 ? '' : `%${now.scopeId}`
  return { host: `${formatIp(now.address)}${zone}`, port: now.port }
}

/** The kernel gives interfaces link-local addresses by itself; those belong into no file. */
function isLinkLocal(prefix: Prefix): boolean {
  const { family, bytes } = prefix.address
  return family === 6 && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80
}

function isInFile(address: Prefix, config: TunnelConfig): boolean {
  return config.interface.addresses.some((known) => equalIp(known.address, address.address))
}
