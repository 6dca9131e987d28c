/**
 * What is made of samples. Medians, because a shared machine has outliers; ratios are taken within a
 * round and only then put together, because its speed drifts from round to round.
 */

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly count: number
}

/** One value per round; undefined where the measurement failed. */
export type Series = readonly (number | undefined)[]

/** NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The smallest value that at least `share` of all values do not exceed; NaN for no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] ?? Number.NaN
}

/** Undefined if there is no value at all. */
export function summarize(series: Series): Summary | undefined {
  const values = series.filter((value) => value !== undefined)
  if (values.length === 0) return undefined
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
  }
}

/** The ratios of those rounds in which both have a value and the anchor's is not zero. */
export function pairedRatio(own: Series, anchor: Series): Summary | undefined {
  return summarize(
    own.map((value, round) => {
      const base = anchor[round]
      return value === undefined || base === undefined || base === 0 ? undefined : value / base
    }),
  )
}
