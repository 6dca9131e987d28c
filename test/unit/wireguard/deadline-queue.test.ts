import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DeadlineQueue } from '../../../src/wireguard/deadline-queue.js'

describe('a deadline queue', () => {
  test('that is empty waits for ever and gives nothing', () => {
    const queue = new DeadlineQueue<string>()
    expect(queue.nextMs).toBe(Number.POSITIVE_INFINITY)
    expect(queue.takeDue(Number.MAX_VALUE)).toBeUndefined()
  })

  test('gives what is due, earliest first, and nothing before its time', () => {
    const queue = new DeadlineQueue<string>()
    queue.set('c', 30)
    queue.set('a', 10)
    queue.set('b', 20)
    expect(queue.nextMs).toBe(10)
    expect([queue.takeDue(20), queue.takeDue(20), queue.takeDue(20)]).toEqual(['a', 'b', undefined])
    expect(queue.nextMs).toBe(30)
  })

  test('does what a plain list does, whatever is set, moved, deleted and taken', () => {
    const step = fc.record({
      item: fc.nat({ max: 20 }),
      deadlineMs: fc.oneof(fc.nat({ max: 100 }), fc.constant(Number.POSITIVE_INFINITY)),
      takeAtMs: fc.option(fc.nat({ max: 100 }), { nil: undefined }),
    })
    const alike = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new DeadlineQueue<number>()
      const list = new Map<number, number>()
      for (const { item, deadlineMs, takeAtMs } of steps) {
        queue.set(item, deadlineMs)
        if (deadlineMs === Number.POSITIVE_INFINITY) list.delete(item)
        else list.set(item, deadlineMs)
        expect(queue.nextMs).toBe(Math.min(Number.POSITIVE_INFINITY, ...list.values()))
        if (takeAtMs === undefined) continue
        const earliestMs = queue.nextMs
        const taken = queue.takeDue(takeAtMs)
        expect(taken !== undefined).toBe(earliestMs <= takeAtMs)
        if (taken === undefined) continue
        expect(list.get(taken)).toBe(earliestMs)
        list.delete(taken)
      }
    })
    fc.assert(alike, { seed: 1, numRuns: 300 })
  })
})
