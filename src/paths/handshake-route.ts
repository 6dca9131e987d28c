/**
 * Over what handshakes with a peer go that has a path of its own: over that, over the relay, or over both. Sans-IO.
 *
 * Some networks recognise WireGuard's handshakes and drop them, whatever else they let through, and some lose every
 * fifth packet. So until the path has carried data, and whenever one stays unanswered, handshakes go both ways at once:
 * the same message twice, which costs the peer nothing. A path that dropped one though it answered probes is spared for a
 * while, each time for longer.
 */

import type { PeerActivity } from './finder-types.js'

/** For an answer over the path, and over the relay: not less, and not less than so many round trips. */
const PATH_PATIENCE_MS = 200
const RELAY_PATIENCE_MS = 500
const PATIENCE_RTTS = 3
/** Before one that went both ways is begun anew, the first time. What comes late over the relay is worthless then. */
const BOTH_PATIENCE_MS = 400
const RELAY_RTTS = 1.5
/** An answer over the path is this late when the one over the relay comes first. */
const LATE_MS = 20
/** Of pings: more than this, and one answer that did not come tells nothing. */
const NOTABLE_LOSS = 0.02
const LOSSY_TRIES = 4
const FIRST_PAUSE_MS: number = 5 * 60_000
const MAX_PAUSE_MS: number = 60 * 60_000

/** `path`: where data goes. */
export type HandshakeWay = 'path' | 'both' | 'relay'

/** What is known of the path that carries data. */
export interface HandshakeSigns {
  readonly activity: PeerActivity
  /** Of the last handshake of ours: over what its answer came; undefined if the peer's own was used instead. */
  readonly answeredBy: 'path' | 'relay' | undefined
  /** It has carried data. */
  readonly isProven: boolean
  readonly rttMs: number
  /** Of pings: 0 to 1. */
  readonly loss: number
  /** The last answer to a probe. */
  readonly lastPongMs: number
  readonly relayRttMs: number | undefined
}

export class HandshakeRoute {
  #way: HandshakeWay = 'both'
  /** When the initiation was sent that is unanswered now; 0 if none is. */
  #sentMs = 0
  /** When the latest one was sent over the path that stayed unanswered for as long as it may take. */
  #silentMs = Number.POSITIVE_INFINITY
  /** Handshakes in a row that the path dropped. */
  #dropped = 0
  #barredUntilMs = 0
  #pauseMs = FIRST_PAUSE_MS

  get way(): HandshakeWay {
    return this.#way
  }

  /** For an answer to the first initiation that goes both ways. */
  static patienceMs({ rttMs, relayRttMs = 0 }: Pick<HandshakeSigns, 'rttMs' | 'relayRttMs'>): number {
    return Math.max(BOTH_PATIENCE_MS, PATIENCE_RTTS * rttMs, RELAY_RTTS * relayRttMs)
  }

  /** What was found out of the path just now: that it drops handshakes, or that one got through. */
  check(signs: HandshakeSigns, nowMs: number): 'nothing' | 'dropped' | 'passed' {
    const { activity, isProven, rttMs, relayRttMs = 0 } = signs
    const sentMs = activity.initiationMs
    if (sentMs === 0) {
      const outcome = this.#settle(signs, nowMs)
      this.#way = nowMs < this.#barredUntilMs ? 'relay' : isProven ? 'path' : 'both'
      return outcome
    }
    this.#sentMs = sentMs
    const pathMs = Math.max(PATH_PATIENCE_MS, PATIENCE_RTTS * rttMs)
    const relayMs = Math.max(RELAY_PATIENCE_MS, PATIENCE_RTTS * relayRttMs)
    if (this.#way !== 'relay' && nowMs - sentMs >= pathMs) this.#silentMs = sentMs
    if (nowMs - sentMs >= (this.#way === 'relay' ? relayMs : pathMs)) this.#way = 'both'
    return 'nothing'
  }

  /** No handshake is unanswered any more. */
  #settle(signs: HandshakeSigns, nowMs: number): 'nothing' | 'dropped' | 'passed' {
    const { activity, answeredBy, rttMs, lastPongMs, loss } = signs
    const [sentMs, silentMs] = [this.#sentMs, this.#silentMs]
    this.#sentMs = 0
    this.#silentMs = Number.POSITIVE_INFINITY
    if (sentMs === 0 || answeredBy === undefined) return 'nothing'
    if (answeredBy === 'path') {
      this.#dropped = 0
      this.#pauseMs = FIRST_PAUSE_MS
      return 'passed'
    }
    // A path that does not answer probes either is dead: that is no matter of handshakes.
    const isLate = this.#way !== 'relay' && activity.keypairMs - sentMs > rttMs + LATE_MS
    if (lastPongMs <= silentMs && !isLate) return 'nothing'
    this.#dropped += 1
    if (this.#dropped < (loss > NOTABLE_LOSS ? LOSSY_TRIES : 1)) return 'nothing'
    this.#dropped = 0
    this.#barredUntilMs = nowMs + this.#pauseMs
    this.#pauseMs = Math.min(MAX_PAUSE_MS, 2 * this.#pauseMs)
    return 'dropped'
  }
}
