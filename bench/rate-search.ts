/**
 * Finds the highest packet rate at which less than one packet in a hundred is lost.
 *
 * Doubling finds an upper bound and bisection narrows it, both with short probes; what they find is
 * then confirmed for longer, a step lower each time it fails. INVARIANT: at most MAX_PROBES probes.
 */

export interface Probe {
  readonly sent: number
  readonly received: number
}

/** Sends at `rate` packets per second for `seconds`. */
export type RunProbe = (rate: number, seconds: number) => Promise<Probe>

export interface SearchLimits {
  readonly probeS: number
  readonly confirmS: number
}

const START_RATE = 20_000
const MAX_RATE = 20_000_000
const MAX_LOSS = 0.01
/** Less than this part of the wanted rate: the sender itself can do no more. */
const KEEPING_PACE = 0.95
/** Bisection ends when the bounds are this close. */
const CLOSE_ENOUGH = 0.05
const STEP_DOWN = 0.91
const MAX_PROBES = 40

/** Packets received per second, as confirmed; undefined if no rate could be. */
export async function searchRate(run: RunProbe, limits: SearchLimits): Promise<number | undefined> {
  const search = new RateSearch(run, limits)
  let rate = await search.narrow()
  for (; rate >= 1 && search.hasProbesLeft; rate *= STEP_DOWN) {
    const confirmed = await search.confirm(rate)
    if (confirmed !== undefined) return confirmed
  }
  return undefined
}

class RateSearch {
  readonly #run: RunProbe
  readonly #limits: SearchLimits
  #probes = 0

  constructor(run: RunProbe, limits: SearchLimits) {
    this.#run = run
    this.#limits = limits
  }

  get hasProbesLeft(): boolean {
    return this.#probes < MAX_PROBES
  }

  /** The rate to confirm first. */
  async narrow(): Promise<number> {
    let low = 0
    let high = START_RATE
    for (;;) {
      const probe = await this.#probe(high, this.#limits.probeS)
      if (!isPassed(probe)) break
      const sentRate = probe.sent / this.#limits.probeS
      if (sentRate < high * KEEPING_PACE) return sentRate
      low = high
      if (high >= MAX_RATE) return low
      high *= 2
    }
    while (high - low > high * CLOSE_ENOUGH && high > 1 && this.hasProbesLeft) {
      const middle = (low + high) / 2
      if (isPassed(await this.#probe(middle, this.#limits.probeS))) low = middle
      else high = middle
    }
    return low > 0 ? low : high
  }

  async confirm(rate: number): Promise<number | undefined> {
    const probe = await this.#probe(rate, this.#limits.confirmS)
    return isPassed(probe) ? probe.received / this.#limits.confirmS : undefined
  }

  #probe(rate: number, seconds: number): Promise<Probe> {
    this.#probes += 1
    return this.#run(rate, seconds)
  }
}

function isPassed({ sent, received }: Probe): boolean {
  return sent > 0 && sent - received < sent * MAX_LOSS
}
