/**
 * What must change on the device when a file was edited while its tunnel runs. (The system's side is
 * compared change by change: src/daemon/system-change.ts.)
 *
 * Only peers that differ are touched, and of them only what differs, so keypairs of all others live
 * on. An endpoint is set only if its text changed: a peer that roamed stays where it is. Everything
 * a file can say can be changed live; an endpoint that was removed stays known until the peer moves.
 */

import { equalBytes } from '../base/bytes.js'
import { formatHostEndpoint } from '../net/endpoint.js'
import { formatPrefix, type Prefix } from '../net/prefix.js'
import type { DeviceUpdate, PeerUpdate } from '../wireguard/configuration.js'
import { type AnyKey, formatKeyHex } from '../wireguard/keys.js'
import { type ResolvedEndpoints, resolvedEndpoint, toPeerUpdate } from './device-update.js'
import type { PeerConfig, TunnelConfig } from './types.js'

/** Both configurations hold their private keys. `endpoints`: of `next`. */
export function diffConfig(
  previous: TunnelConfig,
  next: TunnelConfig,
  endpoints: ResolvedEndpoints,
): DeviceUpdate {
  const before = previous.interface
  const { privateKey, listenPort, fwMark } = next.interface
  return {
    ...(!equalKeys(before.privateKey, privateKey) && { privateKey: privateKey ?? null }),
    ...(listenPort !== undefined && before.listenPort !== listenPort && { listenPort }),
    ...(before.fwMark !== fwMark && { fwmark: fwMark }),
    peers: diffPeers(previous.peers, next.peers, endpoints),
  }
}

function diffPeers(
  previous: readonly PeerConfig[],
  next: readonly PeerConfig[],
  endpoints: ResolvedEndpoints,
): PeerUpdate[] {
  const before = new Map(previous.map((peer) => [formatKeyHex(peer.publicKey), peer]))
  const kept = new Set(next.map((peer) => formatKeyHex(peer.publicKey)))
  const updates: PeerUpdate[] = []
  for (const [key, peer] of before) {
    if (!kept.has(key)) updates.push({ publicKey: peer.publicKey, remove: true, allowedIps: [] })
  }
  for (const peer of next) {
    const known = before.get(formatKeyHex(peer.publicKey))
    const update = known === undefined ? toPeerUpdate(peer, endpoints) : diffPeer(known, peer, endpoints)
    if (update !== undefined) updates.push(update)
  }
  return updates
}

/** Undefined if the device needs to know nothing. */
function diffPeer(
  before: PeerConfig,
  after: PeerConfig,
  endpoints: ResolvedEndpoints,
): PeerUpdate | undefined {
  const { publicKey, presharedKey, persistentKeepaliveS, allowedIps } = after
  const endpoint =
    endpointText(before) === endpointText(after) ? undefined : resolvedEndpoint(after, endpoints)
  const movesPrefixes = prefixText(before.allowedIps) !== prefixText(allowedIps)
  const update: PeerUpdate = {
    publicKey,
    ...(!equalKeys(before.presharedKey, presharedKey) && { presharedKey: presharedKey ?? null }),
    ...(endpoint !== undefined && { endpoint }),
    ...(before.persistentKeepaliveS !== persistentKeepaliveS && { persistentKeepaliveS }),
    ...(movesPrefixes && { replaceAllowedIps: true }),
    allowedIps: movesPrefixes ? allowedIps.map((prefix) => ({ prefix })) : [],
  }
  return Object.keys(update).length > 2 ? update : undefined
}

function equalKeys(a: AnyKey | undefined, b: AnyKey | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b)
}

function endpointText(peer: PeerConfig): string {
  return peer.endpoint === undefined ? '' : formatHostEndpoint(peer.endpoint)
}

/** The same for the same set, whatever its order. */
function prefixText(prefixes: readonly Prefix[]): string {
  return prefixes.map(formatPrefix).sort().join()
}
