/** What GET /v1/status says of the network. Pure. */

import { formatEndpoint, formatHostEndpoint } from '../../net/endpoint.js'
import type { PeerSnapshot } from '../../wireguard/configuration.js'
import { CLOCK_HINT } from '../clock-difference.js'
import type { NetworkStatus, PathStatus } from '../local-api-schema.js'
import type { MembershipStatus } from './membership.js'

export function createNetworkStatus(status: MembershipStatus): NetworkStatus {
  const { hub, own } = status
  return {
    name: status.network,
    node: status.name,
    hub: hub.kind,
    hubDetail: hub.kind === 'connected' ? hub.way : 'reason' in hub ? hub.reason : '',
    removedAt: status.removedAtS === undefined ? null : new Date(status.removedAtS * 1000).toISOString(),
    mapping: own.mapping,
    seenAs: own.candidates
      .filter(({ kind }) => kind === 'reflexive')
      .map(({ endpoint }) => formatEndpoint(endpoint)),
    mappingLifetimeS: own.lifetimeMs === undefined ? null : Math.floor(own.lifetimeMs / 1000),
    relays: status.relays.map(({ key: _key, rttMs, megabits = Number.POSITIVE_INFINITY, ...relay }) => ({
      ...relay,
      rttMs: round(rttMs),
      limitMbitS: Number.isFinite(megabits) ? megabits : null,
    })),
    stun: status.stun.map(formatHostEndpoint),
    faults: [
      ...(status.clock === '' ? [] : [`${status.clock}; ${CLOCK_HINT}`]),
      ...status.faults.values(),
      ...(status.unsaved === '' ? [] : [`what this node has to remember is not saved: ${status.unsaved}`]),
    ],
    waiting: status.waiting,
  }
}

/** Null for a peer that is no node. */
export function createPathStatus(
  peer: PeerSnapshot,
  status: MembershipStatus,
  nowMs: number,
): PathStatus | null {
  const path = peer.isManaged ? status.pathOf(peer.publicKey) : undefined
  if (path === undefined) return null
  return {
    kind: path.kind,
    rttMs: round(path.rttMs),
    loss: Math.round(path.loss * 100) / 100,
    sinceS: Math.max(0, Math.floor((nowMs - path.sinceMs) / 1000)),
    isOnline: status.nodeOf(peer.publicKey)?.isOnline ?? false,
  }
}

/** To a tenth. */
export function round(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms * 10) / 10
}
