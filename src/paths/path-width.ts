/**
 * Whether datagrams as long as those of data come through where short ones do. Sans-IO.
 *
 * Long pings go out, each with a short one beside it. The way loses some of both: a path is narrow only if it
 * answers so many of the short ones that chance does not explain why it answered none of the long ones.
 */

const INTERVAL_MS = 300
/** Between two, not less than so many round trips. */
const INTERVAL_RTTS = 3
const MIN_TRIES = 4
/** After which all begins anew: hardly anything comes through. */
const MAX_TRIES = 24
/** That all long ones were lost though the path is wide. */
const MAX_CHANCE = 0.0003

export type WidthVerdict = 'nothing' | 'ask' | 'narrow'

export class PathWidth {
  #isProven = false
  #tries = 0
  #lastMs = Number.NEGATIVE_INFINITY
  /** Of the short ones. */
  #answers = 0

  get isProven(): boolean {
    return this.#isProven
  }

  /** Both were sent. */
  asked(nowMs: number): void {
    this.#tries += 1
    this.#lastMs = nowMs
  }

  handleAnswer(isLong: boolean): void {
    if (isLong) this.#isProven = true
    else this.#answers += 1
  }

  /** What is to be done now. */
  check(rttMs: number, nowMs: number): WidthVerdict {
    if (this.#isProven || nowMs - this.#lastMs < Math.max(INTERVAL_MS, INTERVAL_RTTS * rttMs))
      return 'nothing'
    if (this.#tries >= MIN_TRIES && this.#chance() < MAX_CHANCE) return 'narrow'
    if (this.#tries >= MAX_TRIES) {
      this.#tries = 0
      this.#answers = 0
    }
    return 'ask'
  }

  /** By the rule of succession: what one of so few answers tells of the way. */
  #chance(): number {
    const lossShare = 1 - (this.#answers + 1) / (this.#tries + 2)
    return Math.max(0, lossShare) ** this.#tries
  }
}
