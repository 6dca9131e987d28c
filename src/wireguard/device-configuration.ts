/** How one peer's part of a DeviceUpdate is applied: the UAPI's set operation, rule by rule. */

import type { PeerUpdate } from './configuration.js'
import type { Effects } from './effects.js'
import type { PublicKey } from './keys.js'
import type { Peer } from './peer.js'
import type { OuterSockets } from './peer-path.js'
import type { PeerTable } from './peer-table.js'

export interface UpdateContext {
  readonly sockets: OuterSockets
  readonly nowMs: number
  readonly effects: Effects
}

/** Who may come and go is the device's decision. */
interface Admission {
  tryAddPeer(publicKey: PublicKey, isManaged: boolean, effects: Effects): Peer | undefined
  removePeer(peer: Peer, effects: Effects): void
  isOwnKey(publicKey: PublicKey): boolean
}

/** The peer as it is afterwards; undefined if there is none now. */
export function applyPeerUpdate(
  device: Admission,
  peers: PeerTable,
  update: PeerUpdate,
  context: UpdateContext,
): Peer | undefined {
  const { effects, nowMs, sockets } = context
  const known = peers.find(update.publicKey) ?? tryFindRenamed(device, peers, update)
  if (update.remove === true) {
    if (known !== undefined) device.removePeer(known, effects)
    return undefined
  }
  if (known === undefined && update.updateOnly === true) return undefined
  const peer = known ?? device.tryAddPeer(update.publicKey, update.isManaged ?? false, effects)
  if (peer === undefined) return undefined

  if (update.previousKey !== undefined) setPublicKeys(device, peers, peer, update)
  if (update.presharedKey !== undefined) {
    peer.keys.setPresharedKey(update.presharedKey)
  }
  if (update.endpoint !== undefined) peer.setEndpoint(update.endpoint, sockets, nowMs, effects)
  if (update.persistentKeepaliveS !== undefined) {
    const ms = update.persistentKeepaliveS * 1000
    peer.timers.setPersistentKeepalive(ms, nowMs)
    effects.push({ kind: 'setKeepaliveInterval', slot: peer.slot, ms })
  }
  if (update.replaceAllowedIps === true) peers.clearAllowedIps(peer)
  for (const { prefix, remove } of update.allowedIps) {
    if (remove === true) peers.takeAllowedIp(peer, prefix)
    else peers.giveAllowedIp(peer, prefix)
  }
  return peer
}

/** A managed peer whose public key is the previous one of `update` now. */
function tryFindRenamed(device: Admission, peers: PeerTable, update: PeerUpdate): Peer | undefined {
  const peer = update.previousKey ? peers.find(update.previousKey) : undefined
  return peer?.isManaged === true && !device.isOwnKey(update.publicKey) ? peer : undefined
}

function setPublicKeys(device: Admission, peers: PeerTable, peer: Peer, update: PeerUpdate): void {
  if (!peer.isManaged) return
  const previousKey = update.previousKey ?? undefined
  const isOwn = previousKey !== undefined && device.isOwnKey(previousKey)
  peers.setPublicKeys(peer, update.publicKey, isOwn ? undefined : previousKey)
}
