import { describe, expect, it } from 'vitest'
import { TokenBucket } from '../../../src/base/token-bucket.js'

const LIMIT = { tokensPerS: 100, burst: 1000 }

describe('TokenBucket', () => {
  it('gives its burst at once, and then what a second earns', () => {
    const bucket = new TokenBucket(LIMIT, 5000)
    expect(bucket.tryTake(1000, 5000)).toBe(true)
    expect(bucket.tryTake(1, 5009)).toBe(false)
    expect(bucket.tryTake(1, 5010)).toBe(true)
    expect(bucket.tryTake(100, 6009)).toBe(false)
    expect(bucket.tryTake(100, 6010)).toBe(true)
  })

  it('takes nothing if it cannot give all, and says how long that will be so', () => {
    const bucket = new TokenBucket(LIMIT, 0)
    bucket.tryTake(900, 0)
    expect(bucket.tryTake(150, 0)).toBe(false)
    expect(bucket.waitMs(150)).toBe(500)
    expect(bucket.tryTake(150, 499)).toBe(false)
    expect(bucket.tryTake(150, 500)).toBe(true)
  })

  it('is full again when it has earned back what was taken, and never more than that', () => {
    const bucket = new TokenBucket(LIMIT, 0)
    expect(bucket.isFull(0)).toBe(true)
    bucket.tryTake(10, 0)
    expect(bucket.isFull(99)).toBe(false)
    expect(bucket.isFull(100)).toBe(true)
    expect(bucket.tryTake(1001, 3_600_000)).toBe(false)
    expect(bucket.tryTake(1000, 3_600_000)).toBe(true)
  })
})
