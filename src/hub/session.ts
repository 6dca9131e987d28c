/** A node that is connected, and what is known of it only while it is. */

import type { RelayRtts } from '../control/messages.js'
import type { SessionId } from './effects.js'

/** What is known of a session when its hello is proven. */
export interface Arrival {
  readonly id: SessionId
  readonly identity: string
  /** Its address, for people. */
  readonly from: string
  /** Of the node, if it names it. */
  readonly run: string | undefined
}

export interface Session extends Arrival {
  relayRtts: RelayRtts
  /** Boot clock. */
  heardAtMs: number
}

/** False if that changes nothing. */
export function setRelayRtts(session: Session, rtts: RelayRtts): boolean {
  const before = session.relayRtts
  session.relayRtts = rtts
  const relays = Object.keys(rtts)
  return relays.length !== Object.keys(before).length || relays.some((relay) => rtts[relay] !== before[relay])
}
