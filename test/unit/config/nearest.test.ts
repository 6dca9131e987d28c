import { describe, expect, it } from 'vitest'
import { nearest } from '../../../src/config/nearest.js'

const WORDS = ['up', 'down', 'status', 'genkey', 'pubkey', 'AllowedIPs']

describe('the nearest known word', () => {
  it.each([
    ['stauts', 'status'],
    ['STATUS', 'status'],
    ['statu', 'status'],
    ['genkye', 'genkey'],
    ['AllowedIP', 'AllowedIPs'],
    ['donw', 'down'],
    ['pu', 'up'],
  ])('to %s is %s', (word, expected) => {
    expect(nearest(word, WORDS)).toBe(expected)
  })

  it.each(['', 'zzz', 'restart', 'x'.repeat(10_000)])('to %j is none', (word) => {
    expect(nearest(word, WORDS)).toBeUndefined()
  })
})
