/**
 * Over what handshakes with a peer go that has a path of its own: over that, or over the relay. Sans-IO.
 *
 * Some networks recognise WireGuard's handshakes and drop them, whatever else they let through. So handshakes go over
 * the relay until the path has carried data, and what stays unanswered is begun anew over the other one at once. A path
 * that dropped one though it answered probes is spared for a while, each time for longer.
 */

import type { PeerActivity } from './finder-types.js'

/** For an answer over the path, and over the relay: not less, and not less than so many round trips. */
const PATH_PATIENCE_MS = 200
const RELAY_PATIENCE_MS = 500
const PATIENCE_RTTS = 3
/** Twice as long each time that both were tried, up to this. */
const MAX_PATIENCE_MS = 5000
const FIRST_PAUSE_MS: number = 5 * 60_000
const MAX_PAUSE_MS: number = 60 * 60_000

/** `relay`, or where data goes. */
export type HandshakeWay = 'path' | 'relay'

/** What is known of the path that carries data. */
export interface HandshakeSigns {
  readonly activity: PeerActivity
  /** It has carried data. */
  readonly isProven: boolean
  readonly rttMs: number
  /** The last answer to a probe. */
  readonly lastPongMs: number
  readonly relayRttMs: number | undefined
}

export class HandshakeRoute {
  #way: HandshakeWay = 'relay'
  /** Of the handshake that is unanswered now. */
  #turns = 0
  #turnedMs = 0
  #isWaiting = false
  /** When one was sent over the path that got no answer there. */
  #swallowedMs = Number.POSITIVE_INFINITY
  #barredUntilMs = 0
  #pauseMs = FIRST_PAUSE_MS

  get way(): HandshakeWay {
    return this.#way
  }

  /** What was found out of the path just now: that it drops handshakes, or that one got through. */
  check(signs: HandshakeSigns, nowMs: number): 'nothing' | 'dropped' | 'passed' {
    const { activity, isProven } = signs
    const sentMs = activity.initiationMs
    if (sentMs === 0) {
      const outcome = this.#settle(signs, nowMs)
      this.#way = isProven && nowMs >= this.#barredUntilMs ? 'path' : 'relay'
      return outcome
    }
    this.#isWaiting = true
    if (nowMs - Math.max(sentMs, this.#turnedMs) < this.#patienceMs(signs)) return 'nothing'
    if (this.#way === 'path') this.#swallowedMs = sentMs
    this.#way = this.#way === 'path' ? 'relay' : 'path'
    this.#turns += 1
    this.#turnedMs = nowMs
    return 'nothing'
  }

  /** No handshake is unanswered any more. */
  #settle({ lastPongMs }: HandshakeSigns, nowMs: number): 'nothing' | 'dropped' | 'passed' {
    // A path that does not answer probes either is dead: that is no matter of handshakes.
    const [wasWaiting, isSwallowed] = [this.#isWaiting, lastPongMs > this.#swallowedMs]
    this.#isWaiting = false
    this.#swallowedMs = Number.POSITIVE_INFINITY
    this.#turns = 0
    if (!wasWaiting) return 'nothing'
    if (this.#way === 'path') {
      this.#pauseMs = FIRST_PAUSE_MS
      return 'passed'
    }
    if (!isSwallowed) return 'nothing'
    this.#barredUntilMs = nowMs + this.#pauseMs
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.#pauseMs)
    return 'dropped'
  }

  #patienceMs({ rttMs, relayRttMs = 0 }: HandshakeSigns): number {
    const firstMs =
      this.#way === 'path'
        ? Math.max(PATH_PATIENCE_MS, PATIENCE_RTTS * rttMs)
        : Math.max(RELAY_PATIENCE_MS, PATIENCE_RTTS * relayRttMs)
    return Math.min(MAX_PATIENCE_MS, firstMs * 2 ** Math.floor(this.#turns / 2))
  }
}
