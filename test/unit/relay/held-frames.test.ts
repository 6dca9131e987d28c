import { beforeEach, describe, expect, it } from 'vitest'
import { HeldFrames } from '../../../src/relay/held-frames.js'

let held: HeldFrames<string>

beforeEach(() => {
  held = new HeldFrames()
})

describe('frames for a peer that no relay leads to', () => {
  it('are sent in order, once', () => {
    for (const item of ['a', 'b']) held.hold('peer', item, 100, 0)
    expect(held.waiting).toEqual(['peer'])
    expect(held.send('peer', 10)).toEqual(['a', 'b'])
    expect(held.send('peer', 20)).toEqual([])
    expect(held.waiting).toEqual([])
  })

  it('wait again if the relay does not know the peer', () => {
    held.hold('peer', 'a', 100, 0)
    held.send('peer', 10)
    held.handleRefused('peer', 50)
    expect(held.send('peer', 900)).toEqual(['a'])
    held.handleRefused('peer', 10_000)
    expect(held.send('peer', 10_000)).toEqual([])
  })

  it('are the newest ones, and not old', () => {
    for (let i = 0; i < 300; i++) held.hold('peer', `${i}`, 10, i)
    expect(held.send('peer', 300)).toHaveLength(128)
    held.hold('peer', 'late', 10, 400)
    held.hold('peer', 'later', 10, 61_000)
    expect(held.send('peer', 61_000)).toEqual(['later'])
  })

  it('are bounded in bytes, of one peer and of all', () => {
    for (let i = 0; i < 10; i++) held.hold('peer', `${i}`, 60_000, 0)
    expect(held.send('peer', 1)).toEqual(['7', '8', '9'])
    for (let peer = 0; peer < 100; peer++) held.hold(`${peer}`, 'x', 100_000, 2)
    expect(held.waiting.length).toBeLessThanOrEqual(42)
    expect(held.waiting).toContain('99')
    expect(held.dropped).toBeGreaterThanOrEqual(7 + 58)
  })

  it('are forgotten if they have arrived after all', () => {
    for (const item of ['a', 'b', 'c']) held.hold('peer', item, 10, 0)
    held.hold('other', 'b', 10, 0)
    held.remove((item) => item === 'b')
    expect(held.waiting).toEqual(['peer'])
    expect(held.send('peer', 1)).toEqual(['a', 'c'])
    expect(held.dropped).toBe(0)
  })

  it('begin anew after what was sent', () => {
    held.hold('peer', 'before', 10, 0)
    held.send('peer', 1)
    held.hold('peer', 'after', 10, 2)
    expect(held.send('peer', 3)).toEqual(['after'])
  })
})
