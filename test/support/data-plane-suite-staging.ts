/** Compliance: packets that wait for a keypair, and when a handshake is asked for. */

import { expect, test } from 'vitest'
import { addPeers, type DataPlaneHarness, eventsOf, FarEnd } from './data-plane-harness.js'
import type { HarnessOf } from './data-plane-suite.js'
import { innerPacket } from './inner-packets.js'

const EMPTY = new Uint8Array(0)
const REKEY_AFTER_MESSAGES = 1n << 60n
const REJECT_AFTER_MESSAGES = (1n << 64n) - (1n << 13n) - 1n

function packetMarked(mark: number): Uint8Array {
  return innerPacket('10.9.0.1', '10.0.0.5', { length: 64, mark })
}

async function handshakesAsked(harness: DataPlaneHarness): Promise<number> {
  return eventsOf(await harness.takeEvents(), 'handshakeNeeded').length
}

export function stagingTests(harnessOf: HarnessOf): void {
  test('packets wait, a handshake is asked for once, and they go out in order to prove the keypair', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(packetMarked(1), packetMarked(2))
    await harness.injectPackets(packetMarked(3))
    expect(await harness.takeDatagrams()).toEqual([])
    expect(await harness.takeEvents()).toEqual([{ kind: 'handshakeNeeded', slot: 0 }])
    const far = new FarEnd(harness, { localIndex: 7 })
    far.installAndProve(0)
    const opened = (await harness.takeDatagrams()).map((sent) => far.open(sent.bytes))
    expect(opened.map(({ padded }) => padded)).toEqual([1, 2, 3].map(packetMarked))
    expect(opened.map(({ counter }) => counter)).toEqual([0n, 1n, 2n])
    expect(await handshakesAsked(harness)).toBe(0)
  })

  test('installing a keypair sends nothing by itself', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(packetMarked(1))
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    expect(await harness.takeDatagrams()).toEqual([])
    harness.plane.sendKeepalive(0)
    expect(await harness.takeDatagrams()).toHaveLength(1)
  })

  test('staged packets carry their ECN bits outside', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(innerPacket('10.9.0.1', '10.0.0.5', { tos: 0xb9 }))
    new FarEnd(harness, { localIndex: 7 }).installAndProve(0)
    expect((await harness.takeDatagrams()).map((sent) => sent.tos)).toEqual([1])
  })

  test('of more than 128 packets the newest wait', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(...Array.from({ length: 130 }, (_, i) => packetMarked(i)))
    expect(harness.plane.blocks.drops(0)).toEqual({ stagedOverflow: 2 })
    const far = new FarEnd(harness, { localIndex: 7 })
    far.installAndProve(0)
    const opened = (await harness.takeDatagrams()).map((sent) => far.open(sent.bytes).padded)
    expect(opened).toEqual(Array.from({ length: 128 }, (_, i) => packetMarked(i + 2)))
  })

  test('peers wait apart from each other', async () => {
    const harness = harnessOf()
    addPeers(harness, 0, 1)
    await harness.injectPackets(packetMarked(1), innerPacket('10.9.0.1', '10.0.1.5'))
    expect(await harness.takeEvents()).toEqual([
      { kind: 'handshakeNeeded', slot: 0 },
      { kind: 'handshakeNeeded', slot: 1 },
    ])
    new FarEnd(harness, { localIndex: 7 }).installAndProve(1)
    expect(await harness.takeDatagrams()).toHaveLength(1)
    expect(harness.plane.blocks.get(0, 'txMessages')).toBe(0)
  })

  test('packets given up count as handshakeFailed, and the next one asks again', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(packetMarked(1), packetMarked(2))
    expect(await handshakesAsked(harness)).toBe(1)
    harness.plane.dropStaged(0)
    expect(harness.plane.blocks.drops(0)).toEqual({ handshakeFailed: 2 })
    await harness.injectPackets(packetMarked(3))
    expect(await handshakesAsked(harness)).toBe(1)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.installAndProve(0)
    const opened = (await harness.takeDatagrams()).map((sent) => far.open(sent.bytes).padded)
    expect(opened).toEqual([packetMarked(3)])
  })

  test('a keepalive without a keypair waits, once, and asks for a handshake', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    harness.plane.sendKeepalive(0)
    harness.plane.sendKeepalive(0)
    expect(await handshakesAsked(harness)).toBe(1)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.installAndProve(0)
    expect((await harness.takeDatagrams()).map(({ bytes }) => bytes)).toEqual([far.expected(EMPTY, 0n)])
  })

  test('a keepalive is not needed where packets wait', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(packetMarked(1))
    harness.plane.sendKeepalive(0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.installAndProve(0)
    expect(await harness.takeDatagrams()).toHaveLength(1)
    expect(await handshakesAsked(harness)).toBe(1)
  })

  test("a responder's keypair carries nothing before the initiator has used it", async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(packetMarked(1))
    const far = new FarEnd(harness, { localIndex: 7, isInitiator: false })
    far.install(0)
    await harness.injectPackets(packetMarked(2))
    harness.plane.sendKeepalive(0)
    expect(await harness.takeDatagrams()).toEqual([])
    await harness.takeEvents()
    await harness.injectDatagrams([far.datagram(harness.v4.remotes[0], EMPTY)])
    expect(eventsOf(await harness.takeEvents(), 'keypairConfirmed')).toEqual([
      { kind: 'keypairConfirmed', slot: 0, localIndex: 7, removed: [] },
    ])
    const opened = (await harness.takeDatagrams()).map((sent) => far.open(sent.bytes).padded)
    expect(opened).toEqual([packetMarked(1), packetMarked(2)])
  })

  test.each([
    ['an initiator, 120 s old', true, 120_000, 1],
    ['an initiator, 119 s old', true, 119_000, 0],
    ['a responder, 179 s old', false, 179_000, 0],
  ])('sending under a keypair of %s', async (_, isInitiator, ageMs, asked) => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7, isInitiator, ageMs })
    far.install(0)
    if (!isInitiator) await harness.injectDatagrams([far.datagram(harness.v4.remotes[0], EMPTY)])
    await harness.injectPackets(packetMarked(1))
    await harness.injectPackets(packetMarked(2))
    harness.plane.sendKeepalive(0)
    expect(await harness.takeDatagrams()).toHaveLength(3)
    expect(await handshakesAsked(harness)).toBe(asked)
  })

  test('a keepalive alone renews an aged keypair too', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7, ageMs: 120_000 }).install(0)
    harness.plane.sendKeepalive(0)
    expect(await handshakesAsked(harness)).toBe(1)
  })

  test('an aged keypair asks again after a failed handshake and after a new keypair', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const ageMs = 120_000
    new FarEnd(harness, { localIndex: 7, ageMs }).install(0)
    await harness.injectPackets(packetMarked(1))
    expect(await handshakesAsked(harness)).toBe(1)
    harness.plane.dropStaged(0)
    await harness.injectPackets(packetMarked(2), packetMarked(3))
    expect(await handshakesAsked(harness)).toBe(1)
    new FarEnd(harness, { localIndex: 8, ageMs }).install(0)
    await harness.injectPackets(packetMarked(4), packetMarked(5))
    expect(await handshakesAsked(harness)).toBe(1)
    expect(await harness.takeDatagrams()).toHaveLength(5)
  })

  test('a keypair of 180 s sends nothing any more', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7, ageMs: 180_000 }).install(0)
    await harness.injectPackets(packetMarked(1))
    expect(await harness.takeDatagrams()).toEqual([])
    expect(await handshakesAsked(harness)).toBe(1)
  })

  test.each([
    ['the last of REKEY_AFTER_MESSAGES', REKEY_AFTER_MESSAGES - 1n, 0],
    ['one more', REKEY_AFTER_MESSAGES, 1],
  ])('sending %s', async (_, firstCounter, asked) => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7, firstCounter }).install(0)
    await harness.injectPackets(packetMarked(1))
    expect(await harness.takeDatagrams()).toHaveLength(1)
    expect(await handshakesAsked(harness)).toBe(asked)
  })

  test('no message has the counter REJECT_AFTER_MESSAGES or a higher one', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7, firstCounter: REJECT_AFTER_MESSAGES - 1n })
    far.install(0)
    await harness.injectPackets(packetMarked(1), packetMarked(2))
    const opened = (await harness.takeDatagrams()).map((sent) => far.open(sent.bytes).counter)
    expect(opened).toEqual([REJECT_AFTER_MESSAGES - 1n])
    const fresh = new FarEnd(harness, { localIndex: 8 })
    fresh.installAndProve(0)
    const later = (await harness.takeDatagrams()).map((sent) => fresh.open(sent.bytes).padded)
    expect(later).toEqual([packetMarked(2)])
  })

  test('a confirmed keypair may ask for the next one, though its packets had asked for it', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const options = { localIndex: 7, isInitiator: false, firstCounter: REKEY_AFTER_MESSAGES }
    const far = new FarEnd(harness, options)
    far.install(0)
    await harness.injectPackets(packetMarked(1))
    expect(await handshakesAsked(harness)).toBe(1)
    await harness.injectDatagrams([far.datagram(harness.v4.remotes[0], EMPTY)])
    expect(await harness.takeDatagrams()).toHaveLength(1)
    expect(await handshakesAsked(harness)).toBe(1)
  })

  test('after all keypairs are gone the next packet asks again', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7, ageMs: 120_000 }).install(0)
    await harness.injectPackets(packetMarked(1))
    expect(harness.plane.removeKeypairs(0)).toEqual([7])
    await harness.injectPackets(packetMarked(2))
    expect(await handshakesAsked(harness)).toBe(2)
  })
}
