/**
 * Whether the peer gets the data that is sent to it over a path. Sans-IO.
 *
 * Answers to probes do not tell: there are networks that let probes through and drop WireGuard's messages. So each
 * answer says when the peer last got an authentic message of ours, and a path is proven by what was sent over it. Until
 * then it carries data on trial, and keepalives where there is none; it is doubted again when nothing comes back.
 */

import type { PeerActivity } from './finder-types.js'
import { PathTrial } from './path-trial.js'

/** Of checks while the path is on trial. */
export const PROOF_INTERVAL_MS = 25
/** What is still under way over the relay, while its round trip is not known. */
const UNKNOWN_RELAY_MS = 200
/** Silence after which a proven path is doubted: not less, and not less than so many round trips. */
const DOUBT_MS = 1000
const DOUBT_RTTS = 5
/** Between two keepalives that do not go out, at most. */
const MAX_UNSENT_INTERVAL_MS = 1600

/** Before the answer: when the peer got an authentic message of ours last; or none, with a keypair or without. */
export type ReceivedAgo = number | 'nothing' | 'noKeypair'

export class DataProof {
  readonly #trial = new PathTrial({ intervalMs: PROOF_INTERVAL_MS, intervalRtts: 0.5 })
  /** What the peer got later came over this path. */
  #fromMs = Number.POSITIVE_INFINITY
  /** When the peer got something over it last, as far as is known. */
  #provenMs = Number.NEGATIVE_INFINITY
  #askedMs = 0
  #keepalive = { atMs: 0, intervalMs: PROOF_INTERVAL_MS }

  /** The peer gets data over the path. */
  get isProven(): boolean {
    return this.#trial.isProven
  }

  /** Data goes over the path from now on, and went over the relay. */
  begin(relayRttMs: number | undefined, nowMs: number): void {
    if (!this.isProven) this.#restart(nowMs + (relayRttMs ?? UNKNOWN_RELAY_MS))
  }

  /** An answer of the peer over this path, to a ping sent at `sentMs`. `isAsked`: as check said. */
  handleAnswer(sentMs: number, received: ReceivedAgo, isAsked: boolean): void {
    const receivedMs = typeof received === 'number' ? sentMs - received : Number.NEGATIVE_INFINITY
    const isThrough = receivedMs >= this.#fromMs
    if (isThrough) this.#provenMs = receivedMs
    // Who lost the keypairs gets data that cannot be opened: that is not the path's fault.
    if (isThrough || (isAsked && received !== 'noKeypair')) this.#trial.handleAnswer(isThrough)
  }

  /** What is to be done now: `failed`: the peer answers probes, and gets no data. `doubt`: it begins anew. */
  check(
    activity: PeerActivity,
    rttMs: number,
    nowMs: number,
  ): 'nothing' | 'doubt' | 'keepalive' | 'ask' | 'failed' {
    if (this.isProven) return this.#isDoubtful(activity, rttMs, nowMs) ? 'doubt' : 'nothing'
    if (nowMs < this.#fromMs || activity.keypairMs === 0) return 'nothing'
    const isSent = activity.lastSendMs >= this.#fromMs && activity.lastSendMs > this.#askedMs
    if (isSent) return this.#trial.check(rttMs, nowMs)
    const { atMs, intervalMs } = this.#keepalive
    if (nowMs < atMs + intervalMs) return 'nothing'
    this.#keepalive = { atMs: nowMs, intervalMs: Math.min(MAX_UNSENT_INTERVAL_MS, 2 * intervalMs) }
    return 'keepalive'
  }

  asked(nowMs: number): void {
    this.#trial.asked(nowMs)
    this.#askedMs = nowMs
    this.#keepalive = { atMs: 0, intervalMs: PROOF_INTERVAL_MS }
  }

  /** Data goes out, and nothing comes back. */
  #isDoubtful(activity: PeerActivity, rttMs: number, nowMs: number): boolean {
    const { firstUnansweredSendMs, lastReceiveMs, lastDataSendMs } = activity
    if (firstUnansweredSendMs <= lastReceiveMs || lastDataSendMs <= this.#provenMs) return false
    const silentMs = nowMs - Math.max(firstUnansweredSendMs, this.#provenMs)
    if (silentMs < Math.max(DOUBT_MS, DOUBT_RTTS * rttMs)) return false
    this.#restart(nowMs)
    return true
  }

  #restart(fromMs: number): void {
    this.#trial.restart()
    this.#fromMs = fromMs
  }
}
