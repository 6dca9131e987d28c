/** What GET /v1/status answers, from what the engine says and the file adds. Pure; holds no secret. */

import { formatEndpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import { formatPrefix } from '../net/prefix.js'
import type { DeviceSnapshot, PeerSnapshot } from '../wireguard/configuration.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import type { InterfaceStatus, PeerStatus } from './local-api-schema.js'
import type { MembershipStatus } from './network/membership.js'
import { createNetworkStatus, createPathStatus } from './network/network-status.js'
import { summarizePeer } from './peer-summary.js'

/** All that does not come from the device. */
export type StatusFrame = Omit<InterfaceStatus, 'publicKey' | 'listenPort' | 'fwmark' | 'peers' | 'network'>

export interface StatusInput {
  readonly frame: StatusFrame
  readonly device: DeviceSnapshot
  /** Names from the file, by base64 public key. */
  readonly peerNames: ReadonlyMap<string, string>
  /** Of the network, if there is one. */
  readonly membership: MembershipStatus | undefined
  /** What is wrong with the way to an endpoint, in words; undefined if nothing is. */
  readonly faultOf: (address: IpAddress) => string | undefined
  /** Boot clock. */
  readonly nowMs: number
}

export function createStatus(input: StatusInput): InterfaceStatus {
  const { frame, device } = input
  return {
    ...frame,
    publicKey: device.publicKey === undefined ? null : formatKeyBase64(device.publicKey),
    listenPort: device.listenPort,
    fwmark: device.fwmark,
    peers: device.peers.map((peer) => createPeerStatus(peer, input)),
    network: input.membership === undefined ? null : createNetworkStatus(input.membership),
  }
}

/** Paths of nodes are kept out of tunnels. */
function endpointFaultOf({ isManaged, endpoint }: PeerSnapshot, { faultOf }: StatusInput): string {
  return isManaged || endpoint === undefined ? '' : (faultOf(endpoint.address) ?? '')
}

function endpointOf({ publicKey, endpoint }: PeerSnapshot, { membership }: StatusInput): string | null {
  const path = membership?.pathOf(publicKey)
  if (membership !== undefined && path !== undefined) return formatEndpoint(membership.endpointOf(path))
  return endpoint === undefined ? null : formatEndpoint(endpoint)
}

function createPeerStatus(peer: PeerSnapshot, input: StatusInput): PeerStatus {
  const publicKey = formatKeyBase64(peer.publicKey)
  const hasMet = peer.lastHandshakeMs > 0
  return {
    publicKey,
    name: input.peerNames.get(publicKey) ?? null,
    endpoint: endpointOf(peer, input),
    endpointFault: endpointFaultOf(peer, input),
    allowedIps: peer.allowedIps.map(formatPrefix),
    state: peer.state,
    summary: summarizePeer(peer, input.nowMs),
    lastHandshakeAt: hasMet ? new Date(peer.lastHandshakeWallMs).toISOString() : null,
    lastHandshakeAgeS: hasMet ? Math.max(0, Math.floor((input.nowMs - peer.lastHandshakeMs) / 1000)) : null,
    rxBytes: peer.rxBytes,
    txBytes: peer.txBytes,
    persistentKeepaliveS: peer.persistentKeepaliveS,
    hasPresharedKey: peer.presharedKey !== undefined,
    path: input.membership === undefined ? null : createPathStatus(peer, input.membership, input.nowMs),
  }
}
