/** A device without a network: keeps what it is told and shows it, or fails when asked to. */

import { equalBytes } from '../../../src/base/bytes.js'
import { formatPrefix, type Prefix } from '../../../src/net/prefix.js'
import type {
  DeviceSnapshot,
  DeviceUpdate,
  PeerSnapshot,
  PeerUpdate,
} from '../../../src/wireguard/configuration.js'
import type { PublicKey } from '../../../src/wireguard/keys.js'

export class FakeDevice {
  readonly updates: DeviceUpdate[] = []
  /** Thrown by both operations. */
  failure: unknown
  #state: DeviceSnapshot = {
    privateKey: undefined,
    publicKey: undefined,
    listenPort: 0,
    fwmark: 0,
    peers: [],
  }

  configure(update: DeviceUpdate): void {
    if (this.failure !== undefined) throw this.failure
    this.updates.push(update)
    const peers = update.replacePeers === true ? [] : [...this.#state.peers]
    for (const change of update.peers) applyPeer(peers, change)
    this.#state = {
      privateKey: update.privateKey === undefined ? this.#state.privateKey : (update.privateKey ?? undefined),
      publicKey: undefined,
      listenPort: update.listenPort ?? this.#state.listenPort,
      fwmark: update.fwmark ?? this.#state.fwmark,
      peers,
    }
  }

  snapshot(): DeviceSnapshot {
    if (this.failure !== undefined) throw this.failure
    return this.#state
  }
}

function applyPeer(peers: PeerSnapshot[], change: PeerUpdate): void {
  const at = peers.findIndex((peer) => equalBytes(peer.publicKey, change.publicKey))
  if (change.remove === true) {
    if (at >= 0) peers.splice(at, 1)
    return
  }
  const old = peers[at] ?? newPeer(change.publicKey)
  const prefixes = new Map<string, Prefix>()
  if (change.replaceAllowedIps !== true) {
    for (const prefix of old.allowedIps) prefixes.set(formatPrefix(prefix), prefix)
  }
  for (const { prefix } of change.allowedIps) prefixes.set(formatPrefix(prefix), prefix)
  const peer: PeerSnapshot = {
    ...old,
    presharedKey: change.presharedKey === undefined ? old.presharedKey : (change.presharedKey ?? undefined),
    endpoint: change.endpoint ?? old.endpoint,
    persistentKeepaliveS: change.persistentKeepaliveS ?? old.persistentKeepaliveS,
    allowedIps: [...prefixes.values()],
  }
  if (at >= 0) peers[at] = peer
  else peers.push(peer)
}

function newPeer(publicKey: PublicKey): PeerSnapshot {
  return {
    publicKey,
    presharedKey: undefined,
    endpoint: undefined,
    isManaged: false,
    persistentKeepaliveS: 0,
    allowedIps: [],
    lastHandshakeWallMs: 1_700_000_000_000,
    lastHandshakeMs: 1,
    rxBytes: 2048,
    txBytes: 1024,
    state: 'idle',
    clockBehindS: 0,
  }
}
