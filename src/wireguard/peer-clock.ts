/**
 * The times that a peer's initiations bear, each later than the one before (paper section 5.1). What is not later
 * was played again by somebody, or the peer's clock went back: a peer goes on counting from there, which is what tells
 * the two apart.
 */

import { TIMESTAMP_BYTES } from './constants.js'
import { isLaterTai64n, secondsBetweenTai64n } from './tai64n.js'

/** Initiations that overtook each other on the way differ by less. */
const MIN_BEHIND_S = 30

export class PeerClock {
  readonly #latest = new Uint8Array(TIMESTAMP_BYTES)
  #stale: Uint8Array | undefined
  #behindS = 0

  /** By how many seconds its clock went back, as it shows itself; 0 if it did not. */
  get behindS(): number {
    return this.#behindS
  }

  /** `timestamp`: authentic, changed later. True if it is later than all that were taken. */
  isNew(timestamp: Uint8Array): boolean {
    if (isLaterTai64n(timestamp, this.#latest)) return true
    const behindS = secondsBetweenTai64n(timestamp, this.#latest)
    const goesOn = this.#stale !== undefined && isLaterTai64n(timestamp, this.#stale)
    if (goesOn && behindS >= MIN_BEHIND_S) this.#behindS = behindS
    this.#stale = timestamp.slice()
    return false
  }

  take(timestamp: Uint8Array): void {
    this.#latest.set(timestamp)
    this.#stale = undefined
    this.#behindS = 0
  }
}
