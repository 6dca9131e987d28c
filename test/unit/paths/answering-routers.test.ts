/** Routers that answer what nobody asked for, and keep that port for whoever sent it. */

import { describe, expect, it } from 'vitest'
import {
  ANSWERING,
  BLOCK,
  BY_ADDRESS,
  RANDOM,
  RESTRICTED,
  SEQUENTIAL,
  STRICT,
} from '../../support/nat-kinds.js'
import { type NodeOptions, PathWorld, RTT_MS } from '../../support/path-world.js'
import { endpoint } from '../../support/simulated-nat.js'

describe('routers that answer what nobody asked for', () => {
  it.each([3, 10])('are opened by what does not come as far as the other, %i hops away', (hops) => {
    for (const [left, right] of [
      [ANSWERING, ANSWERING],
      [ANSWERING, STRICT],
      [STRICT, ANSWERING],
    ] as const) {
      const world = new PathWorld(left, right)
      world.hopsBetween = hops
      expect(world.untilDirect(2000, [world.a])).toBeLessThanOrEqual(4 * RTT_MS)
      // And when it is searched for anew, on either side's initiative.
      world.a.isUdpBlocked = true
      world.run(2000, [world.a, world.b])
      expect(world.kindOf(world.a)).toBe('relay')
      world.a.isUdpBlocked = false
      expect(world.untilDirect(10_000, [world.b])).toBeDefined()
    }
  })

  it.each([
    ['here', true, false],
    ['there', false, true],
    ['on both sides', true, true],
  ])('are got through by a fresh port where they have answered too early: %s', (_where, isHere, isThere) => {
    const world = new PathWorld(ANSWERING, ANSWERING)
    world.hopsBetween = 3
    if (isHere) world.answerEarly(world.a)
    if (isThere) world.answerEarly(world.b)
    expect(world.untilDirect(3000, [world.a])).toBeDefined()
    expect(
      world
        .status(world.a)
        ?.record.events.map(({ text }) => text)
        .join(),
    ).toContain('fresh')
    world.run(3000, [world.a, world.b])
    expect([world.kindOf(world.a), world.kindOf(world.b)]).toEqual(['punched', 'punched'])
  })

  it('get through to a hard NAT, though they have answered it', () => {
    const world = new PathWorld(ANSWERING, RANDOM)
    world.answerEarly(world.a)
    expect(world.untilDirect(4000, [world.a])).toBeDefined()
    const other = new PathWorld(RESTRICTED, ANSWERING)
    other.answerEarly(other.b)
    expect(other.untilDirect(4000, [other.a])).toBeDefined()
  })

  it.each([
    ['ports at random', RANDOM],
    ['ports in order', SEQUENTIAL],
    ['a block of ports', BLOCK],
    ['another port for each address', BY_ADDRESS],
  ])('get through to a hard NAT whose ports they have not answered yet: %s', (_what, hard) => {
    for (const [left, right] of [
      [ANSWERING, hard],
      [hard, ANSWERING],
    ] as const) {
      const world = new PathWorld(left, right)
      expect(world.untilDirect(2000, [world.a])).toBeDefined()
    }
  })

  it.each([
    ['ports at random', RANDOM],
    ['ports in order', SEQUENTIAL],
    ['a block of ports', BLOCK],
  ])(
    'get through to a hard NAT from a fresh port, where what is begun leaves from another: %s',
    (_what, hard) => {
      for (const isHere of [true, false]) {
        const world = isHere ? new PathWorld(ANSWERING, hard) : new PathWorld(hard, ANSWERING)
        const { nat, inside } = isHere ? world.a : world.b
        // A third node's ping came before the answer to its call.
        const third = endpoint('203.0.113.77', 4242)
        const known = nat?.outbound(inside, endpoint('198.51.100.1', 3478))
        if (known !== undefined) nat?.inbound(known, third)
        expect(nat?.outbound(inside, third).port).not.toBe(known?.port)
        expect(world.untilDirect(9000, [world.a])).toBeDefined()
      }
    },
  )

  it.each([
    ['ports at random', RANDOM],
    ['ports in order', SEQUENTIAL],
    ['a block of ports', BLOCK],
  ])('are not why a hard NAT far away from its node stays closed: %s', (_what, hard) => {
    const far: NodeOptions = { ...hard, ...(hard.nat && { nat: { ...hard.nat, hops: 7 } }) }
    for (const [left, right] of [
      [STRICT, far],
      [far, STRICT],
    ] as const) {
      const world = new PathWorld(left, right)
      expect(world.untilDirect(4000, [world.a])).toBeDefined()
    }
  })
})
