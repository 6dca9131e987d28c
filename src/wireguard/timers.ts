/**
 * The five timers of one peer (paper sections 6.1–6.5), as data: named deadlines, no clock, no queue.
 *
 *   retransmitHandshake   an initiation is unanswered for REKEY_TIMEOUT
 *   newHandshake          data was sent and nothing authenticated came back for KEEPALIVE_TIMEOUT + REKEY_TIMEOUT
 *   sendKeepalive         data was received and nothing was sent for KEEPALIVE_TIMEOUT
 *   persistentKeepalive   nothing authenticated passed in either direction for the peer's own interval,
 *                         or a path has just appeared
 *   wipeSecrets           no new keypair for 3 × REJECT_AFTER_TIME
 *
 * Data packets make no calls here. What they did stands in `TransportActivity`, which the data plane
 * writes; handshake messages, which this side sends and receives itself, come in by method calls.
 * INVARIANT: no packet that passes after `nowMs` can make a timer due before `nowMs` +
 * KEEPALIVE_TIMEOUT. So it is exact, not polling, to look again at the end of that span.
 */

import {
  KEEPALIVE_TIMEOUT_MS,
  REKEY_ATTEMPT_TIME_MS,
  REKEY_JITTER_MS,
  REKEY_TIMEOUT_MS,
  WIPE_AFTER_MS,
} from './constants.js'

/** Times of transport messages of one peer, boot clock in ms; 0 is never. See the fields of PeerBlocks. */
export interface TransportActivity {
  readonly lastSendMs: number
  readonly lastDataSendMs: number
  readonly firstUnansweredSendMs: number
  readonly lastReceiveMs: number
  readonly lastDataReceiveMs: number
  readonly firstUnansweredReceiveMs: number
}

/**
 * What a peer has to do now. `giveUp`: stop the handshake and drop what was staged for it.
 * `unanswered`: the newHandshake timer fired, so the path is in doubt; the initiation is told apart.
 */
export type TimerAction = 'initiate' | 'retransmit' | 'giveUp' | 'keepalive' | 'wipe' | 'unanswered'

const NEVER = Number.POSITIVE_INFINITY
const NEW_HANDSHAKE_TIMEOUT_MS = KEEPALIVE_TIMEOUT_MS + REKEY_TIMEOUT_MS

export class Timers {
  /** 0 to 1, injected. */
  readonly #jitter: () => number
  #persistentIntervalMs = 0

  #retransmitAtMs = NEVER
  /** When this run of attempts started; it ends after REKEY_ATTEMPT_TIME. */
  #attemptsSinceMs = 0
  #initiateAtMs = NEVER
  /** REKEY_TIMEOUT after the last handshake message of ours: answered ones are about to be confirmed. */
  #mayInitiateAtMs = 0
  #lastHandshakeSendMs = 0
  #lastHandshakeReceiveMs = 0
  #wipeAtMs = NEVER
  #newHandshakeJitterMs = 0

  // A timer that fired stays quiet about the same packets: it starts again from this moment.
  #newHandshakeFiredMs = 0
  #keepaliveFiredMs = 0
  #persistentFiredMs = 0
  #persistentAtOnceMs = NEVER
  #isWatching = false

  constructor(jitter: () => number) {
    this.#jitter = jitter
    this.#newHandshakeJitterMs = REKEY_JITTER_MS * jitter()
  }

  /** 0 switches it off. Switching on sends one keepalive at once, which opens the NAT's mapping. */
  setPersistentKeepalive(intervalMs: number, nowMs: number): void {
    const isNew = this.#persistentIntervalMs === 0
    this.#persistentIntervalMs = intervalMs
    if (isNew) this.#persistentAtOnceMs = nowMs
  }

  get persistentKeepaliveMs(): number {
    return this.#persistentIntervalMs
  }

  /** The peer can be reached over a socket that it was not reached over before: its NAT has no mapping. */
  pathFound(nowMs: number): void {
    this.#persistentAtOnceMs = nowMs
  }

  /**
   * A packet waits for a keypair, or a keypair is due for renewal. Never asks for an initiation
   * within REKEY_TIMEOUT of the last one, or of a response; a run of attempts that is under way gets its full time again (paper section 6.4).
   */
  handshakeWanted(nowMs: number): void {
    this.#attemptsSinceMs = nowMs
    if (this.#retransmitAtMs !== NEVER || this.#initiateAtMs !== NEVER) return
    this.#initiateAtMs = Math.max(nowMs, this.#mayInitiateAtMs)
  }

  /** After an initiation was sent, which is repeated after `patienceMs`. */
  handshakeInitiated(nowMs: number, patienceMs: number = REKEY_TIMEOUT_MS): void {
    this.#initiateAtMs = NEVER
    this.#mayInitiateAtMs = nowMs + REKEY_TIMEOUT_MS
    this.#retransmitAtMs = nowMs + patienceMs + REKEY_JITTER_MS * this.#jitter()
    this.#lastHandshakeSendMs = nowMs
  }

  /**
   * The way to the peer is there again, or is another one: an initiation that is unanswered was sent another way,
   * and is sent anew when it is `minAgeMs` old.
   */
  wayChanged(nowMs: number, minAgeMs: number): void {
    if (this.#retransmitAtMs === NEVER) return
    const againMs = Math.max(nowMs, this.#lastHandshakeSendMs + minAgeMs)
    this.#initiateAtMs = Math.min(this.#initiateAtMs, againMs)
  }

  /** The peer has forgotten what was agreed: an initiation is due, but not within `minIntervalMs` of another message. */
  keysForgotten(nowMs: number, minIntervalMs: number): void {
    this.#attemptsSinceMs = nowMs
    this.#initiateAtMs = Math.max(nowMs, this.#lastHandshakeSendMs + minIntervalMs)
  }

  /** After a response was sent. */
  handshakeAnswered(nowMs: number): void {
    this.#mayInitiateAtMs = nowMs + REKEY_TIMEOUT_MS
    if (this.#initiateAtMs !== NEVER) this.#initiateAtMs = this.#mayInitiateAtMs
    this.#lastHandshakeSendMs = nowMs
  }

  /** After an authentic initiation or response was received. */
  handshakeReceived(nowMs: number): void {
    this.#lastHandshakeReceiveMs = nowMs
  }

  /** After a keypair was derived, in either role. */
  keypairDerived(nowMs: number): void {
    this.#isWatching = true
    this.#wipeAtMs = nowMs + WIPE_AFTER_MS
  }

  /** After a response was accepted, or the first authentic message came under a responder's keypair. */
  handshakeCompleted(): void {
    this.#retransmitAtMs = NEVER
    this.#initiateAtMs = NEVER
  }

  /** Nothing is retried, and the next wanted handshake need not wait for REKEY_TIMEOUT. */
  cancelHandshake(): void {
    this.handshakeCompleted()
    this.#mayInitiateAtMs = 0
  }

  nextDeadlineMs(activity: TransportActivity, nowMs: number): number {
    const watch = this.#isWatching ? nowMs + KEEPALIVE_TIMEOUT_MS : NEVER
    return Math.min(
      watch,
      this.#retransmitAtMs,
      this.#initiateAtMs,
      this.#wipeAtMs,
      this.#newHandshakeAtMs(activity),
      this.#keepaliveAtMs(activity),
      this.#persistentAtMs(activity),
    )
  }

  /** What is due, in the order to do it. The caller does all of it; nothing is reported twice. */
  handleTimeout(activity: TransportActivity, nowMs: number): readonly TimerAction[] {
    const actions: TimerAction[] = []
    if (nowMs >= this.#wipeAtMs) {
      this.#wipeAtMs = NEVER
      this.#isWatching = false
      actions.push('wipe')
    }
    // Before the other two, which then send what it asks for: one initiation, whatever came due.
    if (nowMs >= this.#newHandshakeAtMs(activity)) {
      this.#newHandshakeFiredMs = nowMs
      this.#newHandshakeJitterMs = REKEY_JITTER_MS * this.#jitter()
      this.handshakeWanted(nowMs)
      actions.push('unanswered')
    }
    if (nowMs >= this.#retransmitAtMs) {
      this.#initiateAtMs = NEVER
      actions.push(this.#retransmitOrGiveUp(nowMs))
    }
    if (nowMs >= this.#initiateAtMs) {
      this.#initiateAtMs = NEVER
      actions.push('initiate')
    }
    if (this.#isKeepaliveDue(activity, nowMs)) actions.push('keepalive')
    return actions
  }

  #retransmitOrGiveUp(nowMs: number): TimerAction {
    this.#retransmitAtMs = NEVER
    if (nowMs - this.#attemptsSinceMs < REKEY_ATTEMPT_TIME_MS) return 'retransmit'
    if (this.#wipeAtMs === NEVER) this.#wipeAtMs = nowMs + WIPE_AFTER_MS
    return 'giveUp'
  }

  #isKeepaliveDue(activity: TransportActivity, nowMs: number): boolean {
    const isPassiveDue = nowMs >= this.#keepaliveAtMs(activity)
    const isPersistentDue = nowMs >= this.#persistentAtMs(activity)
    if (isPassiveDue) this.#keepaliveFiredMs = nowMs
    if (isPersistentDue) {
      this.#persistentFiredMs = nowMs
      this.#persistentAtOnceMs = NEVER
    }
    return isPassiveDue || isPersistentDue
  }

  #newHandshakeAtMs(activity: TransportActivity): number {
    const answeredMs = Math.max(
      activity.lastReceiveMs,
      this.#lastHandshakeReceiveMs,
      this.#newHandshakeFiredMs,
    )
    if (!this.#isWatching || activity.lastDataSendMs <= answeredMs) return NEVER
    const sinceMs = Math.max(activity.firstUnansweredSendMs, answeredMs)
    return sinceMs + NEW_HANDSHAKE_TIMEOUT_MS + this.#newHandshakeJitterMs
  }

  #keepaliveAtMs(activity: TransportActivity): number {
    const sentMs = Math.max(activity.lastSendMs, this.#lastHandshakeSendMs, this.#keepaliveFiredMs)
    if (!this.#isWatching || activity.lastDataReceiveMs <= sentMs) return NEVER
    return Math.max(activity.firstUnansweredReceiveMs, sentMs) + KEEPALIVE_TIMEOUT_MS
  }

  #persistentAtMs(activity: TransportActivity): number {
    if (this.#persistentIntervalMs === 0) return NEVER
    const passedMs = Math.max(
      activity.lastSendMs,
      activity.lastReceiveMs,
      this.#lastHandshakeSendMs,
      this.#lastHandshakeReceiveMs,
      this.#persistentFiredMs,
    )
    return Math.min(this.#persistentAtOnceMs, passedMs + this.#persistentIntervalMs)
  }
}
