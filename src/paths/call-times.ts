/**
 * The time of the latest call of every peer: what a relay or hub plays again is not later. Kept by who the peer is, for
 * longer than the peer: a hub that removes one and adds it again does not make an old call new.
 */

import { TIMESTAMP_BYTES } from '../wireguard/constants.js'
import { isLaterTai64n } from '../wireguard/tai64n.js'

/** As many as a network may have nodes; the one that was silent for the longest gives way. */
const MAX_REMEMBERED = 65_535
const NEVER = new Uint8Array(TIMESTAMP_BYTES)

export class CallTimes {
  readonly #latest = new Map<string, Uint8Array>()

  /** `timestamp`: TAI64N of an authentic call. False if it is played again, or was overtaken. */
  take(peer: string, timestamp: Uint8Array): boolean {
    if (!isLaterTai64n(timestamp, this.#latest.get(peer) ?? NEVER)) return false
    this.#latest.delete(peer)
    this.#latest.set(peer, timestamp)
    const [oldest] = this.#latest.keys()
    if (this.#latest.size > MAX_REMEMBERED && oldest !== undefined) this.#latest.delete(oldest)
    return true
  }
}
