import { describe, expect, it } from 'vitest'
import { IndexTable } from '../../../src/wireguard/index-table.js'
import { hex } from '../../support/hex.js'
import { seededRandom } from '../../support/seeded-random.js'

describe('IndexTable', () => {
  it('finds the owner until the index is released', () => {
    const table = new IndexTable<string>(seededRandom(1))
    const index = table.claim('one')
    expect(table.find(index)).toBe('one')
    expect(table.size).toBe(1)
    table.release(index)
    expect(table.find(index)).toBeUndefined()
    expect(table.size).toBe(0)
    table.release(index)
    expect(table.size).toBe(0)
  })

  it('gives indices over the whole range of 32 bits', () => {
    const table = new IndexTable<number>(() => hex('fffefdfc'))
    expect(table.claim(1)).toBe(0xfcfdfeff)
  })

  it('tries again when a live index comes up, and may reuse a released one', () => {
    const draws = ['01000000', '01000000', '02000000', '01000000'].map(hex)
    const table = new IndexTable<string>(() => draws.shift() ?? new Uint8Array(4))
    expect(table.claim('a')).toBe(1)
    expect(table.claim('b')).toBe(2)
    table.release(1)
    expect(table.claim('c')).toBe(1)
    expect([table.find(1), table.find(2)]).toEqual(['c', 'b'])
  })

  it('ends with an error, not with a loop, if the random source repeats itself', () => {
    const table = new IndexTable<string>(() => new Uint8Array(4))
    table.claim('a')
    expect(() => table.claim('b')).toThrow(/random source/)
    expect(table.size).toBe(1)
  })

  it('has no collisions among many', () => {
    const table = new IndexTable<number>(seededRandom(4))
    const indices = Array.from({ length: 5000 }, (_, i) => table.claim(i))
    expect(new Set(indices).size).toBe(5000)
    for (const [i, index] of indices.entries()) expect(table.find(index)).toBe(i)
  })
})
