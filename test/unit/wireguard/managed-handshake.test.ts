/** Handshakes with peers of a network: what carries them comes up, changes, and goes. */

import { describe, expect, it } from 'vitest'
import { REKEY_TIMEOUT_MS } from '../../../src/wireguard/constants.js'
import { manage, managedPair } from '../../support/managed-pair.js'
import { endpoint } from '../../support/simulated-nat.js'
import { type Node, type WireRule, World } from '../../support/world.js'

const RTT_MS = 20
const DELIVERED: WireRule = () => [RTT_MS / 2]
const LOST: WireRule = () => []

function startLost(): { world: World; a: Node; b: Node } {
  const world = new World()
  const [a, b] = managedPair(world)
  world.onWire = LOST
  a.send(b, 'waiting')
  world.run(300)
  world.onWire = DELIVERED
  expect(world.of('initiation', 'a')).toHaveLength(1)
  return { world, a, b }
}

describe('an unanswered initiation to a managed peer', () => {
  it('goes anew when a carrier comes up', () => {
    const { world, a, b } = startLost()
    a.engine.handleCarrierUp()
    world.run(2 * RTT_MS)
    expect(b.texts).toEqual(['waiting'])
  })

  it('goes anew over the ways that handshakes are given, and only they go there', () => {
    const { world, a, b } = startLost()
    const relayed = manage(a, b)
    if (relayed === undefined) throw new Error('no socket')
    // Where data goes nobody is: it is the handshake alone that comes through.
    const nowhere = { ...relayed, remote: endpoint('192.0.2.99', 9) }
    a.engine.setPeerPath(b.publicKey, nowhere)
    a.engine.setHandshakePaths(b.publicKey, { paths: [relayed], patienceMs: 400 })
    world.run(2 * RTT_MS)
    expect(world.of('response', 'b')).toHaveLength(1)
    expect(b.texts).toEqual([])
    a.engine.setPeerPath(b.publicKey, relayed)
    a.send(b, 'directly')
    world.run(RTT_MS)
    expect(b.texts).toEqual(['directly'])
    a.engine.setHandshakePaths(b.publicKey, { paths: [], patienceMs: 400 })
    world.run(1000)
    expect(world.of('initiation', 'a')).toHaveLength(2)
  })

  it('goes over a way that is added while it is young as it is, and begins anew where it is old', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    const relayed = manage(a, b)
    if (relayed === undefined) throw new Error('no socket')
    const nowhere = { ...relayed, remote: endpoint('192.0.2.99', 9) }
    a.engine.setPeerPath(b.publicKey, nowhere)
    a.send(b, 'waiting')
    world.run(100)
    a.engine.setHandshakePaths(b.publicKey, { paths: [nowhere, relayed], patienceMs: 400 })
    const sent = (): string[] =>
      world.of('initiation', 'a').map(({ datagram }) => Buffer.from(datagram.bytes).toString('hex'))
    expect(new Set(sent()).size).toBe(1)
    expect(sent()).toHaveLength(2)
    world.run(2 * RTT_MS)
    expect(world.of('response', 'b')).toHaveLength(1)
  })

  it('is answered the way it came and over all that handshakes take, and the same again is not', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    const back = manage(b, a)
    if (back === undefined) throw new Error('no socket')
    const nowhere = { ...back, remote: endpoint('192.0.2.99', 9) }
    b.engine.setHandshakePaths(a.publicKey, { paths: [nowhere, back], patienceMs: 400 })
    const there = manage(a, b)
    if (there === undefined) throw new Error('no socket')
    a.engine.setHandshakePaths(b.publicKey, {
      paths: [there, { ...there, local: undefined }],
      patienceMs: 400,
    })
    a.send(b, 'once')
    world.run(4 * RTT_MS)
    expect(world.of('response', 'b')).toHaveLength(2)
    expect(b.texts).toEqual(['once'])
  })

  it('goes anew when the path changes', () => {
    const { world, a, b } = startLost()
    b.moveTo('192.0.2.77')
    manage(a, b)
    world.run(2 * RTT_MS)
    expect(b.texts).toEqual(['waiting'])
  })

  it('is not disturbed by a path that is found while the answer is under way', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    a.send(b, 'waiting')
    world.run(RTT_MS / 2)
    b.moveTo('192.0.2.77')
    manage(a, b)
    world.run(4 * RTT_MS)
    expect(world.of('initiation')).toHaveLength(1)
    expect(b.texts).toEqual(['waiting'])
  })

  it('is repeated after a second, and ever more seldom', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    world.onWire = LOST
    a.send(b, 'waiting')
    world.run(20_000)
    const [first = 0, ...times] = world.of('initiation', 'a').map(({ atMs }) => atMs)
    const ages = times.map((atMs) => Math.floor((atMs - first) / 1000))
    expect(ages.slice(0, 3)).toEqual([1, 3, 7])
    expect(times.length).toBeLessThanOrEqual(6)
  })

  it('costs no more than one message in 20 ms, however often carriers come and go', () => {
    const { world, a } = startLost()
    world.onWire = LOST
    const before = world.of('initiation', 'a').length
    for (let i = 0; i < 1000; i++) {
      a.engine.handleCarrierUp()
      world.run(1)
    }
    expect(world.of('initiation', 'a').length - before).toBeLessThanOrEqual(51)
  })
})

describe('a managed peer that was started anew', () => {
  function restarted(): { world: World; a: Node; b: Node } {
    const world = new World()
    const [a, b] = managedPair(world)
    a.send(b, 'before')
    world.run(6000)
    b.engine.down()
    b.engine.up()
    a.send(b, 'lost')
    world.run(100)
    expect(b.texts).toEqual(['before'])
    return { world, a, b }
  }

  it('gets data again at once when it has proven that', () => {
    const { world, a, b } = restarted()
    a.engine.handlePeerRestarted(b.publicKey)
    world.run(2 * RTT_MS)
    a.send(b, 'after')
    world.run(RTT_MS)
    expect(b.texts).toEqual(['before', 'after'])
  })

  it('is sent nothing if it was never talked to', () => {
    const world = new World()
    const [a, b] = managedPair(world)
    a.engine.handlePeerRestarted(b.publicKey)
    world.run(10_000)
    expect(world.tap).toEqual([])
  })
})

it('is asked as the paper says if it is managed by nobody', () => {
  const world = new World()
  const [a, b] = world.pair()
  world.onWire = LOST
  a.send(b, 'waiting')
  world.run(1000)
  a.engine.handleCarrierUp()
  a.engine.handlePeerRestarted(b.publicKey)
  world.run(REKEY_TIMEOUT_MS - 1001)
  expect(world.of('initiation', 'a')).toHaveLength(1)
})
