/** Many nodes that look for each other at once. */

import { describe, expect, it } from 'vitest'
import { SearchTurns } from '../../../src/paths/search-turns.js'
import { MeshWorld } from '../../support/mesh-world.js'
import { RANDOM, STRICT } from '../../support/nat-kinds.js'

describe('a mesh of five', () => {
  it.each([
    ['one hard NAT', [RANDOM, STRICT, STRICT, STRICT, STRICT]],
    ['two hard NATs', [RANDOM, RANDOM, STRICT, STRICT, STRICT]],
  ])('with %s is direct wherever it can be, well within a minute', (_what, kinds) => {
    const world = new MeshWorld(kinds)
    const hard = kinds.filter((kind) => kind === RANDOM).length
    world.untilAllDirect(30_000)
    // Two hard ones reach each other by the relay alone.
    expect(world.relayed()).toEqual(hard === 2 ? ['1 2', '2 1'] : [])
  })
})

describe('turns of searches', () => {
  it('are one at a time, in order, and those that are awaited first', () => {
    const turns = new SearchTurns<string>()
    for (const who of ['a', 'b', 'c', 'b']) turns.ask(who, false)
    expect([turns.takeNext(0), turns.takeNext(10)]).toEqual(['a', undefined])
    turns.ask('c', true)
    turns.ask('a', true)
    turns.end('a')
    expect(turns.takeNext(20)).toBe('c')
    turns.end('b')
    expect(turns.takeNext(30)).toBeUndefined()
    turns.end('c')
    expect(turns.nextDeadlineMs(40)).toBe(Number.POSITIVE_INFINITY)
  })

  it('are taken from whoever does not end', () => {
    const turns = new SearchTurns<string>()
    turns.ask('a', false)
    turns.ask('b', false)
    expect(turns.takeNext(0)).toBe('a')
    expect(turns.nextDeadlineMs(0)).toBe(6000)
    expect(turns.takeNext(6000)).toBe('b')
  })
})
