import { describe, expect, it } from 'vitest'
import { PeerClock } from '../../../src/wireguard/peer-clock.js'
import { encodeTai64n } from '../../../src/wireguard/tai64n.js'

const DAY_S = 86_400
const at = (seconds: number): Uint8Array => encodeTai64n(1_700_000_000_000 + 1000 * seconds)

describe('the clock of a peer', () => {
  it('is told to have gone back when its initiations go on from there', () => {
    const clock = new PeerClock()
    expect(clock.isNew(at(2 * DAY_S))).toBe(true)
    clock.take(at(2 * DAY_S))
    expect(clock.isNew(at(0))).toBe(false)
    expect(clock.behindS).toBe(0)
    expect(clock.isNew(at(5))).toBe(false)
    expect(clock.behindS).toBe(2 * DAY_S - 5)
    expect(clock.isNew(at(2 * DAY_S + 1))).toBe(true)
    clock.take(at(2 * DAY_S + 1))
    expect(clock.behindS).toBe(0)
  })

  it('is not blamed for what somebody plays again, nor for what overtook something else', () => {
    const clock = new PeerClock()
    clock.take(at(DAY_S))
    for (let i = 0; i < 3; i++) expect(clock.isNew(at(0))).toBe(false)
    expect(clock.behindS).toBe(0)
    const late = new PeerClock()
    late.take(at(20))
    for (const seconds of [10, 15, 20]) expect(late.isNew(at(seconds))).toBe(false)
    expect(late.behindS).toBe(0)
  })
})
