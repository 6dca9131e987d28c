/** What is put back when others take it away: so often, and not more, or two programs would fight for ever. */

const MAX_REPAIRS = 5
export const REPAIR_WINDOW_MS = 60_000

export class RepairBudget {
  /** Of the last minute. */
  #repairs: readonly number[] = []

  /** False if it is spent. */
  take(nowMs: number): boolean {
    this.#repairs = this.#repairs.filter((atMs) => nowMs - atMs < REPAIR_WINDOW_MS)
    if (this.#repairs.length >= MAX_REPAIRS) return false
    this.#repairs = [...this.#repairs, nowMs]
    return true
  }
}
