/** How a peer is doing, in words a person understands. Pure. */

import { formatSpan } from '../base/span.js'
import type { PeerSnapshot } from '../wireguard/configuration.js'
import { REJECT_AFTER_TIME_MS, REKEY_ATTEMPT_TIME_MS } from '../wireguard/constants.js'

/** `nowMs`: boot clock. */
export function summarizePeer(peer: PeerSnapshot, nowMs: number): string {
  if (peer.state !== 'connected' && peer.clockBehindS > 0) {
    return `its clock is ${formatSpan(peer.clockBehindS)} behind what it was: set it right on that machine, or forget what it was by taking this tunnel down and up`
  }
  const hasMet = peer.lastHandshakeMs > 0
  switch (peer.state) {
    case 'connected':
      return 'connected'
    case 'handshaking':
      return hasMet ? 'connecting again: waiting for an answer' : 'waiting for an answer'
    case 'unreachable':
      return `unreachable: no answer for ${REKEY_ATTEMPT_TIME_MS / 1000} s`
    case 'idle':
      break
  }
  if (peer.endpoint === undefined) return 'no endpoint known: waiting for the peer to connect'
  if (!hasMet) return 'not connected yet: nothing was sent'
  const isRecent = nowMs - peer.lastHandshakeMs < REJECT_AFTER_TIME_MS
  return isRecent ? 'connected' : 'idle: connects again when there is traffic'
}
