/**
 * When a link to a hub or a relay is dialled, asked whether it is alive, and given up. Sans-IO: what happens and
 * a time go in, orders and a deadline come out.
 *
 * A link that lasted is dialled again at once. After any other failure the pause doubles, with jitter. Whoever lets
 * us in and throws us out soon, or refuses, is asked more and more seldom, whatever waits to be sent: nothing
 * is won by haste. While something waits and nobody answers, a dial goes out each second.
 *
 * A link in doubt is asked. If it says nothing for a few round trips, another one is dialled beside it; the old
 * one stays until that is up, or until it is proven dead.
 */

/** A link that lived for so long was a good one. */
const SOUND_MS = 10_000
const TURNED_AWAY_MAX_PAUSE_MS = 60_000
/** Something that waits counts as waiting for so long. */
const WANTED_MS = 10_000
/** While something waits: between failures and dials, and between dials that nobody answers. */
const WANTED_PAUSE_MS = 1000
/** Of one link at the same time: the system repeats what each sends at 1, 3 and 7 s, so each second is covered. */
const MAX_DIALS = 4
/** A dial is not begun anew because the network has changed if it is younger. */
const FRESH_DIAL_MS = 200
/** An answer to a question, or to what was sent, takes three round trips at most; before they are known, this. */
const PATIENCE_RTTS = 3
const MIN_PATIENCE_MS = 250
const MAX_PATIENCE_MS = 1000
const UNKNOWN_RTT_MS = 150
/**
 * No answer for so long, and not less than six round trips: it is dead. TCP repeats what a lossy way swallowed after
 * 0.6, 1.8 and 4 s where a round trip takes 200 ms, and a new connection would have to pass the same way several times.
 */
const DEAD_MS = 4500
const DEAD_RTTS = 6
const ASK_INTERVAL_MS = 200
/** A lossy way is not to make a node change its links all the time. */
const BESIDE_INTERVAL_MS = 5000

const NEVER = Number.POSITIVE_INFINITY

export interface RedialOptions {
  /** After a good link broke, and at least before a network that changed is dialled from. */
  readonly firstPauseMs: number
  readonly maxPauseMs: number
  /** A link over which nothing came for so long is asked. */
  readonly idleAskMs: number
  /** 0 to 1. */
  readonly jitter: () => number
}

/** `dial`: one attempt more; `ask`: say something that is answered at once; `drop`: the link is dead. */
export type RedialOrder = 'dial' | 'ask' | 'drop'

interface Link {
  readonly sinceMs: number
  heardMs: number
  /** Since when something that was sent is unanswered. */
  unansweredMs: number
  /** When it is to be asked, because somebody doubts it. */
  askAtMs: number
  /** When it was asked, if that is unanswered. */
  askedMs: number
  lastAskMs: number
}

/** Told to people if it is not just now. */
const TOLD_PAUSE_MS = 2000

/** Why there is no link, and when that may change. */
export function describeFault(reason: string, retryAtMs: number | undefined, nowMs: number): string {
  if (reason === '' || retryAtMs === undefined || retryAtMs - nowMs < TOLD_PAUSE_MS) return reason
  return `${reason}; next attempt in ${Math.round((retryAtMs - nowMs) / 1000)} s`
}

export class Redial {
  readonly #options: RedialOptions
  #link: Link | undefined
  /** Running attempts. */
  #dials = 0
  #lastDialMs = Number.NEGATIVE_INFINITY
  #lastBesideMs = Number.NEGATIVE_INFINITY
  #dialAtMs = NEVER
  #pauseMs: number
  /** The server said not to come before. */
  #holdUntilMs = Number.NEGATIVE_INFINITY
  /** The last failure was no silence: somebody answered, and nothing came of it. */
  #isAnswered = false
  /** We were let in, and not for long; or told not to come. */
  #isTurnedAway = false
  #wantedMs = Number.NEGATIVE_INFINITY
  /** Of questions and their answers. */
  rttMs: number | undefined

  constructor(options: RedialOptions) {
    this.#options = options
    this.#pauseMs = options.firstPauseMs
  }

  get isUp(): boolean {
    return this.#link !== undefined
  }

  /** It is asked, and has not answered: what is sent now may be lost. */
  get isDoubtful(): boolean {
    return this.#link !== undefined && this.#link.askedMs !== NEVER
  }

  /** When the next attempt begins; undefined if a link is there, or an attempt runs. */
  get nextDialMs(): number | undefined {
    return this.#link === undefined && this.#dials === 0 && this.#dialAtMs !== NEVER
      ? this.#dialAtMs
      : undefined
  }

  // --- what happens ----------------------------------------------------------------------------

  start(nowMs: number): void {
    this.#dialAtMs = nowMs
  }

  /** An attempt got through; whatever was up, or is being dialled, is not needed any more. */
  cameUp(nowMs: number): void {
    this.#dials = 0
    this.#dialAtMs = NEVER
    this.#link = {
      sinceMs: nowMs,
      heardMs: nowMs,
      unansweredMs: NEVER,
      askAtMs: NEVER,
      askedMs: NEVER,
      lastAskMs: nowMs,
    }
  }

  /** `isAnswered`: by somebody, if not by whom was wanted. */
  dialFailed(nowMs: number, isAnswered: boolean): void {
    this.#dials = Math.max(0, this.#dials - 1)
    if (this.#dials > 0 || this.#link !== undefined) return
    this.#isAnswered = isAnswered
    // Whoever threw us out is not there any more.
    if (!isAnswered) this.#isTurnedAway = false
    this.#plan(nowMs)
  }

  /** The link ended. */
  broken(nowMs: number): void {
    const link = this.#link
    if (link === undefined) return
    this.#link = undefined
    if (nowMs - link.sinceMs >= SOUND_MS) this.#forgive()
    else this.#isTurnedAway = true
    if (this.#dials === 0) this.#plan(nowMs)
  }

  /**
   * The server does not want us; the end of the link follows. Where it says for how long, that is the pause, and it
   * is not made longer each time: whoever says it expects us then.
   */
  refused(nowMs: number, retryAfterMs: number | undefined): void {
    this.#isTurnedAway = true
    const { maxPauseMs, jitter } = this.#options
    if (retryAfterMs === undefined || retryAfterMs < WANTED_PAUSE_MS) {
      this.#pauseMs = Math.max(this.#pauseMs, maxPauseMs)
      return
    }
    this.#pauseMs = Math.min(retryAfterMs, TURNED_AWAY_MAX_PAUSE_MS)
    this.#holdUntilMs = Math.max(this.#holdUntilMs, nowMs + retryAfterMs * (1 + jitter() / 2))
  }

  /** Something came over the link. True if attempts beside it are not needed any more. */
  heard(nowMs: number): boolean {
    const link = this.#link
    if (link === undefined) return false
    link.heardMs = nowMs
    link.unansweredMs = NEVER
    link.askedMs = NEVER
    const hadDials = this.#dials > 0
    this.#dials = 0
    return hadDials
  }

  /** Something went out over the link that is likely to be answered. */
  sent(nowMs: number): void {
    const link = this.#link
    if (link !== undefined) link.unansweredMs = Math.min(link.unansweredMs, nowMs)
  }

  /** A sign that what is between here and there is not what it was. */
  doubt(nowMs: number): void {
    const link = this.#link
    if (link !== undefined && link.askedMs === NEVER) {
      link.askAtMs = Math.min(link.askAtMs, Math.max(nowMs, link.lastAskMs + ASK_INTERVAL_MS))
    }
  }

  /** Something waits to be sent, and there is no link. */
  wanted(nowMs: number): void {
    if (this.#link !== undefined) return
    this.#wantedMs = nowMs
    if (this.#dialAtMs === NEVER || !this.#isHasty) return
    this.#dialAtMs = this.#held(Math.min(this.#dialAtMs, nowMs + this.#wantedPauseMs()))
  }

  /** This machine's own network is another one: what failed there says nothing. */
  networkChanged(nowMs: number): void {
    this.#forgive()
    if (this.#link !== undefined) this.doubt(nowMs)
    else if (this.#dials === 0 || nowMs - this.#lastDialMs >= FRESH_DIAL_MS)
      this.#dialAtMs = this.#held(nowMs)
  }

  // --- what is to be done ----------------------------------------------------------------------

  nextDeadlineMs(): number {
    const link = this.#link
    if (link === undefined) return Math.min(this.#dialAtMs, this.#againAtMs())
    return link.askedMs === NEVER
      ? this.#askAtMs(link)
      : Math.min(this.#besideAtMs(link), this.#deadAtMs(link))
  }

  handleTimeout(nowMs: number): RedialOrder | undefined {
    const link = this.#link
    if (link === undefined) {
      if (nowMs < this.nextDeadlineMs()) return undefined
      return this.#dial(nowMs)
    }
    if (link.askedMs === NEVER) {
      if (nowMs < this.#askAtMs(link)) return undefined
      link.askedMs = nowMs
      link.lastAskMs = nowMs
      link.askAtMs = NEVER
      return 'ask'
    }
    if (nowMs >= this.#deadAtMs(link)) {
      this.broken(nowMs)
      return 'drop'
    }
    if (nowMs < this.#besideAtMs(link)) return undefined
    this.#lastBesideMs = nowMs
    return this.#dial(nowMs)
  }

  // --- inside ----------------------------------------------------------------------------------

  #dial(nowMs: number): RedialOrder {
    this.#dialAtMs = NEVER
    this.#dials += 1
    this.#lastDialMs = nowMs
    return 'dial'
  }

  /** Nothing but silence stands against another attempt. */
  get #isHasty(): boolean {
    return !this.#isAnswered && !this.#isTurnedAway
  }

  #forgive(): void {
    this.#isAnswered = false
    this.#isTurnedAway = false
    this.#pauseMs = this.#options.firstPauseMs
  }

  #plan(nowMs: number): void {
    const { maxPauseMs, jitter } = this.#options
    const pauseMs = this.#pauseMs * (0.75 + jitter() / 2)
    this.#pauseMs = Math.min(this.#isTurnedAway ? TURNED_AWAY_MAX_PAUSE_MS : maxPauseMs, 2 * this.#pauseMs)
    const isWanted = this.#isHasty && nowMs - this.#wantedMs < WANTED_MS
    this.#dialAtMs = this.#held(nowMs + (isWanted ? Math.min(pauseMs, this.#wantedPauseMs()) : pauseMs))
  }

  #wantedPauseMs(): number {
    return WANTED_PAUSE_MS * (0.5 + this.#options.jitter() / 2)
  }

  #held(atMs: number): number {
    return Math.max(atMs, this.#holdUntilMs)
  }

  /** Nobody answers, and something waits: one attempt more. */
  #againAtMs(): number {
    const isWanted = this.#lastDialMs - this.#wantedMs < WANTED_MS
    if (this.#dials === 0 || this.#dials >= MAX_DIALS || !isWanted) return NEVER
    return this.#lastDialMs + WANTED_PAUSE_MS
  }

  #askAtMs(link: Link): number {
    return Math.min(
      link.askAtMs,
      link.unansweredMs + this.#patienceMs(),
      Math.max(link.heardMs, link.lastAskMs) + this.#options.idleAskMs,
    )
  }

  #besideAtMs(link: Link): number {
    if (this.#dials > 0) return NEVER
    return this.#held(Math.max(link.askedMs + this.#patienceMs(), this.#lastBesideMs + BESIDE_INTERVAL_MS))
  }

  #deadAtMs(link: Link): number {
    return link.askedMs + Math.max(DEAD_MS, DEAD_RTTS * (this.rttMs ?? UNKNOWN_RTT_MS))
  }

  #patienceMs(): number {
    const ms = PATIENCE_RTTS * (this.rttMs ?? UNKNOWN_RTT_MS)
    return Math.min(MAX_PATIENCE_MS, Math.max(MIN_PATIENCE_MS, ms))
  }
}
