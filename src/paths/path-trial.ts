/**
 * Whether a path carries what it is to carry, where short probes come through: full datagrams, or data itself. Sans-IO.
 *
 * What is to come through goes out again and again, each time beside a probe that is answered for certain unless it is
 * lost. The way loses some of both: it is judged only by so many answered probes that chance does not explain
 * why nothing of the other came through.
 */

const MIN_TRIES = 4
/** After which all begins anew: hardly anything comes through. */
const MAX_TRIES = 24
/** That all was lost though the path would carry it. */
const MAX_CHANCE = 0.0003

export interface TrialPace {
  readonly intervalMs: number
  /** Between two, not less than so many round trips. */
  readonly intervalRtts: number
}

export type TrialVerdict = 'nothing' | 'ask' | 'failed'

export class PathTrial {
  readonly #pace: TrialPace
  #isProven = false
  #tries = 0
  #lastMs = Number.NEGATIVE_INFINITY
  /** Of the probes. */
  #answers = 0

  constructor(pace: TrialPace) {
    this.#pace = pace
  }

  get isProven(): boolean {
    return this.#isProven
  }

  /** What was proven is in doubt. */
  restart(): void {
    this.#isProven = false
    this.#tries = 0
    this.#answers = 0
  }

  /** Both were sent. */
  asked(nowMs: number): void {
    this.#tries += 1
    this.#lastMs = nowMs
  }

  /** `isThrough`: what is to come through did; else a probe beside it was answered. */
  handleAnswer(isThrough: boolean): void {
    if (isThrough) this.#isProven = true
    else this.#answers += 1
  }

  /** When check has something to say; Infinity if it is proven. */
  nextDeadlineMs(rttMs: number): number {
    const { intervalMs, intervalRtts } = this.#pace
    return this.#isProven
      ? Number.POSITIVE_INFINITY
      : this.#lastMs + Math.max(intervalMs, intervalRtts * rttMs)
  }

  /** What is to be done now. */
  check(rttMs: number, nowMs: number): TrialVerdict {
    if (nowMs < this.nextDeadlineMs(rttMs)) return 'nothing'
    if (this.#tries >= MIN_TRIES && this.#chance() < MAX_CHANCE) return 'failed'
    if (this.#tries >= MAX_TRIES) this.restart()
    return 'ask'
  }

  /** By the rule of succession: what one of so few answers tells of the way. */
  #chance(): number {
    const lossShare = 1 - (this.#answers + 1) / (this.#tries + 2)
    return Math.max(0, lossShare) ** this.#tries
  }
}
