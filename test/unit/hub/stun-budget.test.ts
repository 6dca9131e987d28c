import { describe, expect, it } from 'vitest'
import { StunBudget } from '../../../src/hub/stun-budget.js'
import { endpoint } from '../../support/simulated-nat.js'

/** Of one survey, with what it asks again where answers are late. */
const SOCKETS = 27
const QUESTIONS = 50

function asked(budget: StunBudget, address: string, firstPort: number, ports: number, times: number): number {
  let answered = 0
  for (let i = 0; i < times; i++) {
    if (budget.take(endpoint(address, firstPort + (i % ports)), 1000)) answered += 1
  }
  return answered
}

describe('what a STUN server answers', () => {
  it('is all that a whole office asks that starts behind one address at once', () => {
    const budget = new StunBudget()
    for (let node = 0; node < 50; node++) {
      expect(asked(budget, '203.0.113.7', 2000 + node * SOCKETS, SOCKETS, QUESTIONS)).toBe(QUESTIONS)
    }
  })

  it('is little to one port, so that a victim whose address is forged gets little', () => {
    const budget = new StunBudget()
    expect(asked(budget, '203.0.113.7', 2000, 1, 10_000)).toBe(60)
    expect(budget.take(endpoint('203.0.113.7', 2000), 1100)).toBe(true)
    expect(budget.take(endpoint('203.0.113.7', 2000), 1100)).toBe(false)
  })

  it('leaves others their share, whatever one address or one v6 network asks', () => {
    for (const [flooding, other] of [
      ['203.0.113.7', '203.0.113.8'],
      ['2001:db8::7', '2001:db8:0:1::7'],
    ] as const) {
      const budget = new StunBudget()
      expect(asked(budget, flooding, 1, 60_000, 60_000)).toBe(4000)
      expect(asked(budget, other, 1, SOCKETS, QUESTIONS)).toBe(QUESTIONS)
    }
    const budget = new StunBudget()
    for (let i = 0; i < 4000; i++) budget.take(endpoint(`2001:db8::${i.toString(16)}`, 1), 0)
    expect(budget.take(endpoint('2001:db8::ffff', 1), 0)).toBe(false)
  })

  it('is bounded in all, and forged sources lock nobody out for longer than that lasts', () => {
    const budget = new StunBudget()
    let answered = 0
    for (let i = 0; i < 40_000; i++) {
      const from = endpoint(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 1 + (i % 60_000))
      if (budget.take(from, 1000)) answered += 1
    }
    expect(answered).toBe(10_000)
    expect(asked(budget, '203.0.113.7', 2000, SOCKETS, 1)).toBe(0)
    expect(budget.take(endpoint('203.0.113.7', 2100), 1010)).toBe(true)
  })
})
