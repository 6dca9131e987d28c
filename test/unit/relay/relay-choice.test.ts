import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  chooseHome,
  chooseLinks,
  type KnownRelay,
  orderRelays,
  type RelayWay,
} from '../../../src/relay/relay-choice.js'

function way(key: string, rttMs: number, isGone = false): RelayWay {
  return { key, rttMs, isGone }
}

function order(ways: readonly RelayWay[], peer: Record<string, number>, current?: string): string[] {
  return orderRelays(ways, peer, current).map(({ key }) => key)
}

describe('the way to a peer', () => {
  it('is the shortest in sum, be it near to neither', () => {
    expect(
      order([way('ours', 5), way('theirs', 90), way('middle', 30)], { ours: 90, theirs: 5, middle: 30 }),
    ).toEqual(['middle', 'ours', 'theirs'])
  })

  it('leads first where the peer said that it is, and last where it is not known', () => {
    const ways = [way('silent', 1), way('gone', 2, true), way('named', 200)]
    expect(order(ways, { named: 100, gone: 1 })).toEqual(['named', 'silent', 'gone'])
  })

  it('is the fastest for us while the peer has said nothing', () => {
    expect(order([way('slow', 50), way('fast', 20)], {})).toEqual(['fast', 'slow'])
  })

  it.each([
    ['stays for what is a little shorter in ms', 15, 24, 'current'],
    ['stays for what is a little shorter in percent', 280, 300, 'current'],
    ['moves for what is clearly shorter', 100, 140, 'other'],
  ])('%s', (_what, other, current, first) => {
    const ways = [way('other', other / 2), way('current', current / 2)]
    expect(order(ways, { other: other / 2, current: current / 2 }, 'current')[0]).toBe(first)
  })

  it('is left at once when the relay does not know the peer, or the peer does not name it', () => {
    expect(order([way('a', 10), way('b', 300, true)], { a: 10, b: 1 }, 'b')[0]).toBe('a')
    expect(order([way('a', 300), way('b', 10)], { a: 300 }, 'b')[0]).toBe('a')
    expect(order([way('a', 300)], { a: 300 }, 'b')).toEqual(['a'])
  })

  it('does not swing: what was chosen is chosen again', () => {
    const ways = fc.uniqueArray(
      fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), rttMs: fc.nat(400), isGone: fc.boolean() }),
      { selector: ({ key }) => key, minLength: 1 },
    )
    const peer = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(400))
    fc.assert(
      fc.property(ways, peer, fc.constantFrom('a', 'b', undefined), (list, rtts, current) => {
        const first = order(list, rtts, current)
        expect(first.toSorted()).toEqual(list.map(({ key }) => key).toSorted())
        expect(order(list, rtts, first[0])).toEqual(first)
      }),
    )
  })
})

describe('home', () => {
  it('is the fastest relay, and moves only where that is worth the news', () => {
    expect(chooseHome({}, 'a')).toBeNull()
    expect(chooseHome({ a: 30, b: 20 }, null)).toBe('b')
    expect(chooseHome({ a: 30, b: 21 }, 'a')).toBe('a')
    expect(chooseHome({ a: 300, b: 250 }, 'a')).toBe('a')
    expect(chooseHome({ a: 300, b: 200 }, 'a')).toBe('b')
    expect(chooseHome({ b: 400 }, 'a')).toBe('b')
  })
})

describe('links', () => {
  function known(id: string, ms: number | undefined, isLinked = false): KnownRelay {
    return { id, ms, isLinked }
  }

  it('go to all relays where these are few, and to the first of the list while nothing is measured', () => {
    const few = [known('a', undefined), known('b', undefined)]
    expect(chooseLinks(few, 3)).toEqual(['a', 'b'])
    expect(chooseLinks([], 3)).toEqual([])
    const many = ['a', 'b', 'c', 'd'].map((id) => known(id, undefined))
    expect(chooseLinks(many, 3)).toEqual(['a', 'b', 'c'])
  })

  it('go to the fastest, and to the first of the list that can be reached', () => {
    const relays = [known('dead', undefined), known('meeting', 250), known('far', 200)]
    const near = [known('x', 30), known('y', 10), known('z', 20)]
    expect(chooseLinks([...relays, ...near], 3)).toEqual(['y', 'z', 'x', 'meeting'])
  })

  it('stay unless another is clearly faster', () => {
    const linked = [known('a', 100, true), known('b', 100, true), known('c', 100, true)]
    expect(chooseLinks([...linked, known('d', 85)], 3)).toEqual(['a', 'b', 'c'])
    expect(chooseLinks([...linked, known('d', 75)], 3)).toEqual(['d', 'a', 'b'])
  })

  it('of any two nodes that reach the same relays have one in common', () => {
    const ms = fc.option(fc.nat(300), { nil: undefined })
    fc.assert(
      fc.property(fc.array(fc.tuple(ms, fc.nat(300)), { minLength: 1, maxLength: 12 }), (list) => {
        const here = list.map(([own], i) => known(String(i), own))
        const there = list.map(([own, theirs], i) => known(String(i), own && theirs))
        const links = new Set(chooseLinks(here, 3))
        expect(chooseLinks(there, 3).some((id) => links.has(id))).toBe(true)
      }),
    )
  })
})
