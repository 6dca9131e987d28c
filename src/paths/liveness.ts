/**
 * Whether the path in use is still there. Silence while data goes out makes it suspect, and so does a heartbeat
 * without an answer; a suspect is pinged a few times in a row, and is dead if none of that is answered.
 */

import { lastUseOf, type PeerActivity } from './finder-types.js'
import { keepaliveMs } from './keepalive.js'
import type { KnownPath } from './known-paths.js'

/** Silence that makes suspect: not less, and not less than three round trips. */
const SUSPICION_MS = 200
const SUSPICION_RTTS = 3
/** So many that a way which loses a third of them is not taken for dead. */
const SUSPECT_PINGS = 6
const SUSPECT_PING_INTERVAL_MS = 15
/** After the first ping, for on most ways that is enough; and after the last, where it is so many round trips at least. */
const PATIENCE_MS = 60
const LAST_PATIENCE_RTTS = 1.5
/** Heartbeats keep the NAT open and notice what silence does not show. */
const HEARTBEAT_BUSY_MS = 5000
/** While it is not known for how long the NAT keeps an idle mapping. */
const HEARTBEAT_MS = 14_000
const BUSY_MS = 10_000
/** So young a mapping is kept open as if nothing was known: NATs trust it only once it was used for a while. */
const YOUNG_MS = 30_000

export type LivenessVerdict = 'nothing' | 'ping' | 'dead'

/** What is known of the path beside its own pings. */
export interface LivenessSigns {
  readonly activity: PeerActivity | undefined
  /** Since when the path is in use. */
  readonly sinceMs: number
  /** A ping over it may still be answered. */
  readonly isPending: boolean
  /** Of an idle mapping of our NAT, if it is known. */
  readonly lifetimeMs: number | undefined
}

/** Of an idle path. */
export function heartbeatMs(lifetimeMs: number | undefined): number {
  return keepaliveMs(lifetimeMs, HEARTBEAT_MS)
}

export class Liveness {
  #suspect: { pings: number; nextMs: number } | undefined

  get isSuspect(): boolean {
    return this.#suspect !== undefined
  }

  /** It was pinged as a suspect, and has not answered at once. */
  get isDoubtful(): boolean {
    return this.#suspect !== undefined && this.#suspect.pings > 1
  }

  /** Infinity unless it is suspect. */
  nextDeadlineMs(): number {
    return this.#suspect?.nextMs ?? Number.POSITIVE_INFINITY
  }

  suspect(nowMs: number): void {
    this.#suspect ??= { pings: 0, nextMs: nowMs }
  }

  /** It answered, or another one is in use. */
  clear(): void {
    this.#suspect = undefined
  }

  /** What is to be done now. */
  check(active: KnownPath, signs: LivenessSigns, nowMs: number): LivenessVerdict {
    const { activity, isPending } = signs
    if (this.#suspect !== undefined) return this.#examine(this.#suspect, active, nowMs)
    const { firstUnansweredSendMs: unansweredMs = 0, lastReceiveMs = 0 } = activity ?? {}
    const patienceMs = Math.max(SUSPICION_MS, SUSPICION_RTTS * active.rttMs)
    const isSilent =
      unansweredMs > lastReceiveMs && nowMs - Math.max(unansweredMs, active.lastPongMs) > patienceMs
    const isBusy = activity !== undefined && nowMs - lastUseOf(activity) < BUSY_MS
    const lifetimeMs = nowMs - signs.sinceMs < YOUNG_MS ? undefined : signs.lifetimeMs
    const intervalMs = isBusy ? HEARTBEAT_BUSY_MS : heartbeatMs(lifetimeMs)
    const sinceMs = nowMs - active.lastPongMs
    if (isSilent || sinceMs > intervalMs + patienceMs) {
      this.#suspect = { pings: 0, nextMs: nowMs }
      return this.#examine(this.#suspect, active, nowMs)
    }
    return sinceMs > intervalMs && !isPending ? 'ping' : 'nothing'
  }

  #examine(suspect: { pings: number; nextMs: number }, active: KnownPath, nowMs: number): LivenessVerdict {
    if (nowMs < suspect.nextMs) return 'nothing'
    if (suspect.pings === SUSPECT_PINGS) return 'dead'
    suspect.pings += 1
    const isLast = suspect.pings === SUSPECT_PINGS
    const lastMs = Math.max(PATIENCE_MS, LAST_PATIENCE_RTTS * active.rttMs)
    const nextMs = suspect.pings === 1 ? PATIENCE_MS : SUSPECT_PING_INTERVAL_MS
    suspect.nextMs = nowMs + (isLast ? lastMs : nextMs)
    return 'ping'
  }
}
