import { describe, expect, test } from 'vitest'
import { median, pairedRatio, percentile, summarize } from '../../../bench/statistics.js'

describe('statistics of a bench', () => {
  test('the median of an even number of values lies between the middle two', () => {
    expect(median([9, 1, 3])).toBe(3)
    expect(median([9, 1, 3, 5])).toBe(4)
    expect(median([])).toBeNaN()
  })

  test('a percentile is one of the values', () => {
    const values = Array.from({ length: 200 }, (_, i) => 200 - i)
    expect(percentile(values, 0.99)).toBe(198)
    expect(percentile(values, 0.5)).toBe(100)
    expect(percentile([7], 0.99)).toBe(7)
    expect(percentile([7, 8], 0)).toBe(7)
    expect(percentile([], 0.5)).toBeNaN()
  })

  test('failed rounds do not count', () => {
    expect(summarize([4, undefined, 2])).toEqual({ median: 3, min: 2, max: 4, count: 2 })
    expect(summarize([undefined])).toBeUndefined()
  })

  test('ratios are taken round by round, so that drift of the machine cancels', () => {
    expect(pairedRatio([20, 200, 2], [10, 100, 1])).toEqual({ median: 2, min: 2, max: 2, count: 3 })
  })

  test('a round in which one side has no value, or the anchor none to divide by, gives no ratio', () => {
    expect(pairedRatio([20, undefined, 6, 8], [10, 10, 0, undefined])?.count).toBe(1)
    expect(pairedRatio([1, 2], [])).toBeUndefined()
  })
})
