/** What one peer's handshakes came to: the source of everything a user is told about its state. */

import type { PeerState } from './configuration.js'
import { REJECT_AFTER_TIME_MS } from './constants.js'

export class PeerHistory {
  /** Bytes of handshake messages; transport data is counted by the data plane. */
  rxBytes = 0
  txBytes = 0
  /** Boot clock and wall clock; 0 for never. */
  lastHandshakeMs = 0
  lastHandshakeWallMs = 0
  #usableUntilMs = 0
  #hasGivenUp = false

  /** Whether a keypair can carry data. */
  isConnected(nowMs: number): boolean {
    return nowMs < this.#usableUntilMs
  }

  state(nowMs: number, isHandshaking: boolean): PeerState {
    if (this.isConnected(nowMs)) return 'connected'
    if (this.#hasGivenUp) return 'unreachable'
    return isHandshaking ? 'handshaking' : 'idle'
  }

  /** `createdAtMs`: of the keypair, which a responder can use only later. */
  completed(createdAtMs: number, nowMs: number, wallMs: number): void {
    this.#hasGivenUp = false
    this.#usableUntilMs = createdAtMs + REJECT_AFTER_TIME_MS
    this.lastHandshakeMs = nowMs
    this.lastHandshakeWallMs = wallMs
  }

  gaveUp(): void {
    this.#hasGivenUp = true
  }

  /** What failed before says nothing about what is tried next. */
  startedAfresh(): void {
    this.#hasGivenUp = false
  }

  keypairsRemoved(): void {
    this.#usableUntilMs = 0
  }
}
