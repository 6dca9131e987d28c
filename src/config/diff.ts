/**
 * What must change when a file was edited while its tunnel runs.
 *
 * Only peers that differ are touched, and of them only what differs, so keypairs of all others live
 * on. An endpoint is set only if its text changed: a peer that roamed stays where it is. Everything
 * a file can say can be changed live; an endpoint that was removed stays known until the peer moves.
 */

import { equalBytes } from '../base/bytes.js'
import { formatHostEndpoint } from '../net/endpoint.js'
import { formatIp } from '../net/ip.js'
import { formatPrefix, type Prefix } from '../net/prefix.js'
import type { DeviceUpdate, PeerUpdate } from '../wireguard/configuration.js'
import { type AnyKey, formatKeyHex } from '../wireguard/keys.js'
import { type ResolvedEndpoints, resolvedEndpoint, toPeerUpdate } from './device-update.js'
import { routesOf } from './routes.js'
import type { InterfaceConfig, PeerConfig, TunnelConfig } from './types.js'

interface PrefixChanges {
  readonly removed: readonly Prefix[]
  readonly added: readonly Prefix[]
}

export interface ConfigDiff {
  readonly update: DeviceUpdate
  /** False if `update` changes nothing. */
  readonly changesDevice: boolean
  readonly addresses: PrefixChanges
  /** All of them if the routing table or the mark that picks it changed. */
  readonly routes: PrefixChanges
  readonly changesMtu: boolean
  readonly changesDns: boolean
  /** Table, or mark: rules of policy routing are to be made anew. */
  readonly changesRouting: boolean
  /** Hooks are not run on a reload; the new ones count from now on. */
  readonly changesHooks: boolean
}

/** Both configurations hold their private keys. `endpoints`: of `next`. */
export function diffConfig(
  previous: TunnelConfig,
  next: TunnelConfig,
  endpoints: ResolvedEndpoints,
): ConfigDiff {
  const update = diffDevice(previous, next, endpoints)
  const before = previous.interface
  const after = next.interface
  const changesRouting = before.table !== after.table || before.fwMark !== after.fwMark
  return {
    update,
    changesDevice: Object.keys(update).length > 1 || update.peers.length > 0,
    addresses: diffPrefixes(before.addresses, after.addresses),
    routes: changesRouting
      ? { removed: routesOf(previous), added: routesOf(next) }
      : diffPrefixes(routesOf(previous), routesOf(next)),
    changesMtu: before.mtu !== after.mtu,
    changesDns: dnsText(before) !== dnsText(after),
    changesRouting,
    changesHooks: hooksText(before) !== hooksText(after),
  }
}

function diffDevice(previous: TunnelConfig, next: TunnelConfig, endpoints: ResolvedEndpoints): DeviceUpdate {
  const before = previous.interface
  const after = next.interface
  const { privateKey, listenPort, fwMark } = after
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

function diffPrefixes(before: readonly Prefix[], after: readonly Prefix[]): PrefixChanges {
  const old = new Set(before.map(formatPrefix))
  const kept = new Set(after.map(formatPrefix))
  return {
    removed: before.filter((prefix) => !kept.has(formatPrefix(prefix))),
    added: after.filter((prefix) => !old.has(formatPrefix(prefix))),
  }
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

function dnsText({ dns }: InterfaceConfig): string {
  return [...dns.servers.map(formatIp), '', ...dns.searchDomains].join(' ')
}

function hooksText({ preUp, postUp, preDown, postDown }: InterfaceConfig): string {
  return JSON.stringify([preUp, postUp, preDown, postDown])
}
