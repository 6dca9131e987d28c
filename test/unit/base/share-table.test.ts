import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ShareTable } from '../../../src/base/share-table.js'

describe('a table with shares', () => {
  it('lets the oldest of the busiest source give way, and nobody else', () => {
    const table = new ShareTable<string, number>(4)
    expect(table.add('honest', 1)).toBeUndefined()
    for (const entry of [2, 3, 4]) expect(table.add('flood', entry)).toBeUndefined()
    expect(table.add('flood', 5)).toBe(2)
    expect(table.add('other', 6)).toBe(3)
    expect([...table.entries]).toEqual([1, 4, 5, 6])
  })

  it('lets the oldest of all give way where everybody holds the same', () => {
    const table = new ShareTable<string, number>(3)
    for (const [source, entry] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const) {
      table.add(source, entry)
    }
    expect(table.add('d', 4)).toBe(1)
  })

  it('gives every source its turn', () => {
    const table = new ShareTable<string, number>(10)
    for (const entry of [1, 2, 3, 4]) table.add('flood', entry)
    table.add('honest', 5)
    expect([1, 2, 3].map(() => table.shift())).toEqual([1, 5, 2])
    table.add('honest', 6)
    expect([1, 2, 3, 4].map(() => table.shift())).toEqual([3, 6, 4, undefined])
  })

  it('is what a slow twin says that it is', () => {
    const step = fc.record({ source: fc.integer({ min: 0, max: 3 }), kind: fc.integer({ min: 0, max: 5 }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = new ShareTable<number, number>(6)
        let twin: { source: number; entry: number }[] = []
        const count = (source: number): number => twin.filter((one) => one.source === source).length
        for (const [entry, { source, kind }] of steps.entries()) {
          if (kind === 0) {
            const gone = twin[source]?.entry ?? -1
            expect(table.delete(gone)).toBe(gone >= 0)
            twin = twin.filter((one) => one.entry !== gone)
          } else {
            twin.push({ source, entry })
            const givesWay = table.add(source, entry)
            expect(givesWay === undefined).toBe(twin.length <= 6)
            const loser = twin.find((one) => one.entry === givesWay)
            if (loser !== undefined) {
              const most = Math.max(...twin.map((one) => count(one.source)))
              expect(count(loser.source)).toBe(most)
              expect(twin.find((one) => one.source === loser.source)).toBe(loser)
              twin = twin.filter((one) => one !== loser)
            }
          }
          expect([...table.entries]).toEqual(twin.map((one) => one.entry))
        }
      }),
    )
  })
})
