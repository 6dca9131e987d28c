import { beforeEach, describe, expect, it } from 'vitest'
import { Redial, type RedialOrder } from '../../../src/daemon/network/redial.js'
import { seededRandom } from '../../support/seeded-random.js'

const OPTIONS = { firstPauseMs: 100, maxPauseMs: 15_000, idleAskMs: 20_000 }
const RTT_MS = 40

let nowMs: number
let redial: Redial
let orders: { readonly order: RedialOrder; readonly atMs: number }[]

beforeEach(() => {
  const random = seededRandom(7)
  nowMs = 1_000_000
  orders = []
  redial = new Redial({ ...OPTIONS, jitter: () => (random(1)[0] ?? 0) / 255 })
})

/** Lets time pass; `act` hears of each order. */
function run(ms: number, act: (order: RedialOrder) => void = () => undefined): void {
  const endMs = nowMs + ms
  for (let next = redial.nextDeadlineMs(); next <= endMs; next = redial.nextDeadlineMs()) {
    nowMs = Math.max(nowMs, next)
    const order = redial.handleTimeout(nowMs)
    if (order === undefined) throw new Error('a deadline without an order')
    orders.push({ order, atMs: nowMs })
    act(order)
  }
  nowMs = endMs
}

/** Up for `ms`, and heard all the time. */
function bringUp(ms = 20_000): void {
  redial.start(nowMs)
  run(0)
  redial.cameUp(nowMs)
  redial.rttMs = RTT_MS
  for (let passed = 0; passed < ms; passed += 1000) {
    run(1000)
    redial.heard(nowMs)
  }
  orders = []
}

function count(order: RedialOrder): number {
  return orders.filter((each) => each.order === order).length
}

describe('a link that is up', () => {
  it('is asked when it is doubted, once, and left alone when it answers', () => {
    bringUp()
    for (let i = 0; i < 100; i++) redial.doubt(nowMs)
    run(RTT_MS)
    expect(orders).toEqual([{ order: 'ask', atMs: nowMs - RTT_MS }])
    expect(redial.isDoubtful).toBe(true)
    redial.heard(nowMs)
    expect(redial.isDoubtful).toBe(false)
    run(5000)
    expect(orders).toHaveLength(1)
  })

  it('is dialled beside after a few round trips without an answer, and dropped only when that is proven', () => {
    bringUp()
    const startMs = nowMs
    redial.doubt(nowMs)
    run(4900, (order) => order === 'drop' && redial.broken(nowMs))
    const [ask, dial, drop] = orders
    expect(orders.map(({ order }) => order)).toEqual(['ask', 'dial', 'drop'])
    expect([ask?.atMs, dial?.atMs, drop?.atMs].map((atMs) => (atMs ?? 0) - startMs)).toEqual([0, 250, 4500])
  })

  it('gives way to the one beside it, which is doubted by nobody', () => {
    bringUp()
    redial.doubt(nowMs)
    run(300)
    redial.cameUp(nowMs)
    run(5000)
    expect(orders.map(({ order }) => order)).toEqual(['ask', 'dial'])
  })

  it('that answers late ends the attempt beside it', () => {
    bringUp()
    redial.doubt(nowMs)
    run(400)
    expect(redial.heard(nowMs)).toBe(true)
    expect(redial.isUp).toBe(true)
    run(5000)
    expect(count('drop')).toBe(0)
  })

  it('is doubted when what was sent over it is not answered', () => {
    bringUp()
    redial.sent(nowMs)
    run(700)
    expect(orders.map(({ order }) => order)).toEqual(['ask', 'dial'])
  })

  it('is asked when nothing was heard for long', () => {
    bringUp()
    run(OPTIONS.idleAskMs, () => redial.heard(nowMs))
    expect(count('ask')).toBe(1)
  })

  it('over a lossy way is not replaced all the time', () => {
    bringUp()
    for (let i = 0; i < 60; i++) {
      redial.doubt(nowMs)
      run(300)
      redial.heard(nowMs)
      run(700)
    }
    expect(count('dial')).toBeLessThanOrEqual(12)
    expect(count('drop')).toBe(0)
  })
})

describe('a link that broke', () => {
  it('after it lasted is dialled again at once', () => {
    bringUp()
    redial.broken(nowMs)
    run(150)
    expect(count('dial')).toBe(1)
  })

  it('right after it came up, again and again, is dialled ever more seldom, whoever is in a hurry', () => {
    redial.start(nowMs)
    const startMs = nowMs
    while (nowMs - startMs < 600_000) {
      run(1000, (order) => {
        if (order !== 'dial') return
        redial.cameUp(nowMs)
        redial.broken(nowMs)
      })
      redial.wanted(nowMs)
    }
    expect(count('dial')).toBeLessThan(25)
    expect(count('dial')).toBeGreaterThan(10)
  })

  it('by a refusal that names a time is not dialled before, whatever happens', () => {
    redial.start(nowMs)
    run(0)
    redial.cameUp(nowMs)
    redial.refused(nowMs, 30_000)
    redial.broken(nowMs)
    orders = []
    const startMs = nowMs
    for (let i = 0; i < 29; i++) {
      redial.wanted(nowMs)
      redial.networkChanged(nowMs)
      run(1000)
    }
    expect(orders).toEqual([])
    run(20_000)
    expect(count('dial')).toBe(1)
    expect((orders[0]?.atMs ?? 0) - startMs).toBeLessThanOrEqual(45_000)
  })

  it('is not dialled by all nodes in the same moment', () => {
    const times = new Set<number>()
    for (let seed = 1; seed <= 50; seed++) {
      const random = seededRandom(seed)
      redial = new Redial({ ...OPTIONS, jitter: () => (random(1)[0] ?? 0) / 255 })
      bringUp()
      redial.broken(nowMs)
      times.add(redial.nextDeadlineMs() - nowMs)
    }
    expect(times.size).toBeGreaterThan(30)
  })
})

describe('a server that cannot be reached', () => {
  const refuse = (order: RedialOrder): void => {
    if (order === 'dial') redial.dialFailed(nowMs, false)
  }

  it('is dialled ever more seldom while nothing waits', () => {
    redial.start(nowMs)
    run(600_000, refuse)
    expect(count('dial')).toBeLessThan(60)
  })

  it('is dialled each second while something waits', () => {
    redial.start(nowMs)
    run(60_000, refuse)
    orders = []
    for (let i = 0; i < 100; i++) {
      redial.wanted(nowMs)
      run(100, refuse)
    }
    expect(count('dial')).toBeGreaterThanOrEqual(9)
    expect(count('dial')).toBeLessThanOrEqual(20)
  })

  it('after a link that was young is dialled each second too', () => {
    redial.start(nowMs)
    run(0)
    redial.cameUp(nowMs)
    run(2000)
    redial.broken(nowMs)
    run(20_000, refuse)
    orders = []
    for (let i = 0; i < 100; i++) {
      redial.wanted(nowMs)
      run(100, refuse)
    }
    expect(count('dial')).toBeGreaterThanOrEqual(9)
  })

  it('because somebody in between answers is not dialled in haste', () => {
    redial.start(nowMs)
    for (let i = 0; i < 600; i++) {
      redial.wanted(nowMs)
      run(100, (order) => order === 'dial' && redial.dialFailed(nowMs, true))
    }
    expect(count('dial')).toBeLessThan(15)
  })

  it('and says nothing at all is dialled anew each second while something waits, but not for ever', () => {
    redial.start(nowMs)
    redial.wanted(nowMs)
    for (let i = 0; i < 80; i++) {
      redial.wanted(nowMs)
      run(100)
    }
    expect(orders.map(({ atMs }) => atMs - (orders[0]?.atMs ?? 0))).toEqual([0, 1000, 2000, 3000])
  })

  it('is dialled at once when this machine comes into another network', () => {
    redial.start(nowMs)
    run(120_000, refuse)
    orders = []
    redial.networkChanged(nowMs)
    run(0)
    expect(count('dial')).toBe(1)
  })
})
