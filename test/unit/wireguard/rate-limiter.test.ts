import { describe, expect, it } from 'vitest'
import { type IpAddress, ipFromBytes } from '../../../src/net/ip.js'
import { RateLimiter } from '../../../src/wireguard/rate-limiter.js'
import { hex } from '../../support/hex.js'

const V4 = ipFromBytes(hex('c0000201'))

function numberedSource(number: number): IpAddress {
  return ipFromBytes(Uint8Array.of(10, number >> 16, number >> 8, number))
}

function countAllowed(limiter: RateLimiter, source: IpAddress, tries: number, nowMs: number): number {
  let allowed = 0
  for (let i = 0; i < tries; i++) if (limiter.isAllowed(source, nowMs)) allowed++
  return allowed
}

describe('RateLimiter', () => {
  it('allows a burst of five, then twenty a second', () => {
    const limiter = new RateLimiter()
    expect(countAllowed(limiter, V4, 100, 1000)).toBe(5)
    expect(countAllowed(limiter, V4, 100, 1049)).toBe(0)
    expect(countAllowed(limiter, V4, 100, 1050)).toBe(1)
    let allowed = 0
    for (let nowMs = 1051; nowMs <= 11_050; nowMs++) if (limiter.isAllowed(V4, nowMs)) allowed++
    expect(allowed).toBe(200)
  })

  it('never saves up more than the burst', () => {
    const limiter = new RateLimiter()
    expect(countAllowed(limiter, V4, 100, 0)).toBe(5)
    expect(countAllowed(limiter, V4, 100, 3_600_000)).toBe(5)
    const other = new RateLimiter()
    expect(countAllowed(other, V4, 1, 0)).toBe(1)
    expect(countAllowed(other, V4, 100, 249)).toBe(5)
  })

  it('counts every v4 address for itself', () => {
    const limiter = new RateLimiter()
    expect(countAllowed(limiter, V4, 9, 0)).toBe(5)
    expect(countAllowed(limiter, ipFromBytes(hex('c0000202')), 9, 0)).toBe(5)
  })

  it('counts a v6 /64 as one source', () => {
    const limiter = new RateLimiter()
    expect(countAllowed(limiter, ipFromBytes(hex('20010db8000000010000000000000001')), 4, 0)).toBe(4)
    expect(countAllowed(limiter, ipFromBytes(hex('20010db800000001ffffffffffffffff')), 4, 0)).toBe(1)
    expect(countAllowed(limiter, ipFromBytes(hex('20010db8000000020000000000000001')), 4, 0)).toBe(4)
  })

  it('does not take a v6 prefix for a v4 address with the same number', () => {
    const limiter = new RateLimiter()
    expect(countAllowed(limiter, ipFromBytes(hex('00000001')), 9, 0)).toBe(5)
    expect(countAllowed(limiter, ipFromBytes(hex('00000000000000010000000000000000')), 9, 0)).toBe(5)
  })

  it('refuses new sources, not known ones, while its table is full of busy ones', () => {
    const limiter = new RateLimiter()
    for (let i = 0; i < 20_000; i++) limiter.isAllowed(numberedSource(i), 0)
    const bound = limiter.size
    expect(bound).toBe(16_384)
    expect(limiter.isAllowed(V4, 1)).toBe(false)
    expect(limiter.isAllowed(numberedSource(0), 1)).toBe(true)
    expect(limiter.size).toBe(bound)
  })

  it('forgets a source as soon as its bucket is full again', () => {
    const limiter = new RateLimiter()
    for (let i = 0; i < 20_000; i++) limiter.isAllowed(numberedSource(i), 0)
    expect(limiter.isAllowed(V4, 250)).toBe(true)
    expect(limiter.size).toBe(1)
    expect(countAllowed(limiter, V4, 9, 251)).toBe(4)
  })
})
