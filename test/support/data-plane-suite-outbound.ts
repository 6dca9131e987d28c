/** Compliance: packets from the inner interface to the wire. */

import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../src/base/bytes.js'
import { addPeers, eventsOf, FarEnd, pathTo, prefix } from './data-plane-harness.js'
import type { HarnessOf } from './data-plane-suite.js'
import { firstFragment, innerPacket, udpPacket } from './inner-packets.js'

const TO_PEER_0 = innerPacket('10.9.0.1', '10.0.0.5')

export function outboundTests(harnessOf: HarnessOf): void {
  test('a packet becomes one transport message, byte for byte', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 0x01020304 })
    far.install(0)
    await harness.injectPackets(TO_PEER_0)
    const [sent, ...others] = await harness.takeDatagrams()
    expect(others).toEqual([])
    expect(sent?.bytes).toEqual(far.expected(concatBytes(TO_PEER_0, new Uint8Array(4)), 0n))
    // type 4 · receiver index a1b2c3d4 · counter 0
    const header = [4, 0, 0, 0, 0xd4, 0xc3, 0xb2, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0]
    expect([...(sent?.bytes.subarray(0, 16) ?? [])]).toEqual(header)
  })

  test('every message has the counter after the one before', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    await harness.injectPackets(...new Array<Uint8Array>(200).fill(TO_PEER_0))
    harness.plane.sendKeepalive(0)
    const counters = (await harness.takeDatagrams()).map((sent) => far.open(sent.bytes).counter)
    expect(counters).toEqual(Array.from({ length: 201 }, (_, i) => BigInt(i)))
    expect(harness.plane.blocks.get(0, 'sendCounter')).toBe(201)
  })

  test('a counter passes from its low to its high half', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7, firstCounter: 0x7_ffff_ffffn })
    far.install(0)
    await harness.injectPackets(TO_PEER_0, TO_PEER_0)
    const counters = (await harness.takeDatagrams()).map((sent) => far.open(sent.bytes).counter)
    expect(counters).toEqual([0x7_ffff_ffffn, 0x8_0000_0000n])
  })

  test.each([
    [28, 32],
    [32, 32],
    [33, 48],
    [1404, 1408],
    [1408, 1408],
    [1409, 1420], // not 1424: never above the MTU
    [1420, 1420],
  ])('a packet of %i bytes is padded with zeros to %i', async (length, padded) => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    const packet = innerPacket('10.9.0.1', '10.0.0.5', { length })
    await harness.injectPackets(packet)
    const [sent] = await harness.takeDatagrams()
    expect(far.open(sent?.bytes ?? TO_PEER_0).padded).toEqual(
      concatBytes(packet, new Uint8Array(padded - length)),
    )
  })

  test('padding is zeros, whatever passed before', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    const small = innerPacket('10.9.0.1', '10.0.0.5', { length: 33 })
    await harness.injectPackets(innerPacket('10.9.0.1', '10.0.0.5', { length: 1420 }))
    await harness.injectPackets(small)
    const sent = await harness.takeDatagrams()
    const opened = sent.map(({ bytes }) => far.open(bytes).padded)
    expect(opened[1]).toEqual(concatBytes(small, new Uint8Array(15)))
  })

  test('packets of one batch keep their order, whatever is dropped between them', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    const packets = Array.from({ length: 150 }, (_, i) =>
      innerPacket('10.9.0.1', i % 7 === 3 ? '10.200.0.1' : '10.0.0.5', { length: 64 + 16 * i, mark: i }),
    ).filter(({ length }) => length <= 1420)
    await harness.injectPackets(...packets)
    const opened = (await harness.takeDatagrams()).map(({ bytes }) => far.open(bytes).padded)
    expect(opened).toEqual(packets.filter((_, i) => i % 7 !== 3))
  })

  test.each([
    [691, 700], // not 704: the new MTU bounds
    [710, 716], // 10 bytes over the MTU are padded as 10 bytes are
    [1395, 1400], // 695 over: as 695 are
    [1400, 1400],
  ])('with an MTU of 700 set later, %i bytes are padded to %i', async (length, padded) => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7 }).install(0)
    harness.plane.setMtu(700)
    await harness.injectPackets(innerPacket('10.9.0.1', '10.0.0.5', { length }))
    const [sent] = await harness.takeDatagrams()
    expect(sent?.bytes.length).toBe(16 + padded + 16)
  })

  test.each([
    ['10.9.0.1', '10.0.0.5'],
    ['fd00:9::1', 'fd00:0::5'],
  ])('the inner ECN bits go outside and the DSCP stays inside: %s to %s', async (from, to) => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7 }).install(0)
    const tosBytes = [0, 0xb9, 0xba, 0xbb]
    await harness.injectPackets(...tosBytes.map((tos) => innerPacket(from, to, { tos })))
    expect((await harness.takeDatagrams()).map((sent) => sent.tos)).toEqual([0, 1, 2, 3])
  })

  test('the longest prefix decides, in both families', async () => {
    const harness = harnessOf()
    addPeers(harness, 0, 1, 2)
    const ends = [0, 1, 2].map((slot) => new FarEnd(harness, { localIndex: 10 + slot }))
    for (const [slot, far] of ends.entries()) far.install(slot)
    harness.plane.changeAllowedIps([
      { prefix: prefix('0.0.0.0/0'), slot: 0 },
      { prefix: prefix('192.0.2.0/24'), slot: 1 },
      { prefix: prefix('192.0.2.128/25'), slot: 2 },
      { prefix: prefix('::/0'), slot: 1 },
      { prefix: prefix('2001:db8::1/128'), slot: 2 },
    ])
    const destinations = ['8.8.8.8', '192.0.2.127', '192.0.2.128', '2001:db8::2', '2001:db8::1']
    const indices: number[] = []
    // One by one: those of different peers have no order among each other.
    for (const to of destinations) {
      await harness.injectPackets(innerPacket(to.includes(':') ? '::1' : '10.9.0.1', to))
      indices.push(...(await harness.takeDatagrams()).map(({ bytes }) => indexIn(bytes)))
    }
    expect(indices).toEqual([0, 1, 2, 1, 2].map((slot) => ends[slot]?.remoteIndex))
  })

  test('prefixes come and go, and the others stay', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7 }).install(0)
    harness.plane.changeAllowedIps([
      { prefix: prefix('10.1.0.0/16'), slot: 0 },
      { prefix: prefix('10.0.0.0/24'), slot: undefined },
      { prefix: prefix('10.2.0.0/16'), slot: undefined },
    ])
    await harness.injectPackets(
      TO_PEER_0,
      ...[innerPacket('10.9.0.1', '10.1.2.3'), innerPacket('fd00:9::1', 'fd00:0::5')],
    )
    expect(await harness.takeDatagrams()).toHaveLength(2)
    expect(harness.plane.blocks.drops(harness.plane.blocks.deviceSlot)).toEqual({ noAllowedIp: 1 })
  })

  test('a packet to nobody counts as noAllowedIp of the device', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(innerPacket('10.9.0.1', '10.200.0.1'))
    expect(await harness.takeDatagrams()).toEqual([])
    expect(await harness.takeEvents()).toEqual([])
    expect(harness.plane.blocks.drops(harness.plane.blocks.deviceSlot)).toEqual({ noAllowedIp: 1 })
  })

  test('a packet to a peer without a path counts as noPath, and asks for nothing', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    harness.plane.setPath(0, undefined)
    await harness.injectPackets(TO_PEER_0)
    harness.plane.setPath(0, pathTo(harness.v4))
    new FarEnd(harness, { localIndex: 7 }).install(0)
    expect(await harness.takeDatagrams()).toEqual([])
    expect(eventsOf(await harness.takeEvents(), 'handshakeNeeded')).toEqual([])
    expect(harness.plane.blocks.drops(0)).toEqual({ noPath: 1 })
  })

  describe('an outer datagram of the plane that comes in as an inner packet', () => {
    const families = [
      ['10.9.0.1', '10.0.0.5'],
      ['fd00:9::1', 'fd00:0::5'],
    ] as const

    test.each(families)('is dropped and counted: data, %s to %s', async (from, to) => {
      const harness = harnessOf()
      addPeers(harness, 0)
      const far = new FarEnd(harness, { localIndex: 7 })
      far.install(0)
      await harness.injectPackets(TO_PEER_0)
      const [sent] = await harness.takeDatagrams()
      const looped = udpPacket(from, to, harness.v4.port, sent?.bytes ?? TO_PEER_0)
      await harness.injectPackets(looped, looped, TO_PEER_0)
      const others = await harness.takeDatagrams()
      expect(others.map(({ bytes }) => far.open(bytes).counter)).toEqual([1n])
      expect(harness.plane.blocks.drops(0)).toEqual({ routingLoop: 2 })
    })

    test.each(families)('is dropped and counted: control messages, %s to %s', async (from, to) => {
      const harness = harnessOf()
      addPeers(harness, 0)
      const initiation = Uint8Array.from({ length: 148 }, (_, i) => (i < 4 ? Number(i === 0) : 7 * i))
      harness.plane.sendDatagram(pathTo(harness.v4), initiation, 0)
      const looped = udpPacket(from, to, harness.v4.port, initiation)
      await harness.injectPackets(looped)
      expect(harness.plane.blocks.drops(0)).toEqual({ routingLoop: 1 })
      // No handshake is asked for because of it.
      expect(eventsOf(await harness.takeEvents(), 'handshakeNeeded')).toEqual([])
    })

    test('is dropped when only its first fragment shows', async () => {
      const harness = harnessOf()
      addPeers(harness, 0)
      new FarEnd(harness, { localIndex: 7 }).install(0)
      await harness.injectPackets(TO_PEER_0)
      const [sent] = await harness.takeDatagrams()
      const whole = udpPacket('fd00:9::1', 'fd00:0::5', harness.v6.port, sent?.bytes ?? TO_PEER_0)
      await harness.injectPackets(firstFragment(whole))
      expect(harness.plane.blocks.drops(0)).toEqual({ routingLoop: 1 })
    })

    test.each([
      ['from another port', (port: number) => port ^ 1, 0],
      ['under an index that is not ours', (port: number) => port, 4],
      ['under a counter that is still to come', (port: number) => port, 8],
    ])('is told from one of somebody else: %s', async (_, portOf, changed) => {
      const harness = harnessOf()
      addPeers(harness, 0)
      new FarEnd(harness, { localIndex: 7 }).install(0)
      await harness.injectPackets(TO_PEER_0)
      const [sent] = await harness.takeDatagrams()
      const datagram = sent?.bytes ?? TO_PEER_0
      if (changed > 0) datagram[changed] = (datagram[changed] as number) ^ 8
      await harness.injectPackets(udpPacket('10.9.0.1', '10.0.0.5', portOf(harness.v4.port), datagram))
      expect(await harness.takeDatagrams()).toHaveLength(1)
      expect(harness.plane.blocks.drops(0)).toEqual({})
    })
  })

  test('sending counts whole messages and notes the times of data and of anything', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7 }).install(0)
    const { blocks } = harness.plane
    const beforeMs = harness.nowMs()
    await harness.injectPackets(TO_PEER_0)
    expect(blocks.get(0, 'txBytes')).toBe(16 + 64 + 16)
    expect(blocks.get(0, 'txMessages')).toBe(1)
    const dataMs = blocks.get(0, 'lastDataSendMs')
    expect(dataMs).toBeGreaterThanOrEqual(beforeMs)
    expect(dataMs).toBeLessThan(harness.nowMs() + 1)
    expect(blocks.get(0, 'lastSendMs')).toBe(dataMs)
    expect(blocks.get(0, 'firstUnansweredSendMs')).toBe(dataMs)

    await harness.pass(2)
    harness.plane.sendKeepalive(0)
    await harness.takeDatagrams()
    expect(blocks.get(0, 'txBytes')).toBe(96 + 32)
    expect(blocks.get(0, 'txMessages')).toBe(2)
    expect(blocks.get(0, 'lastSendMs')).toBeGreaterThanOrEqual(dataMs + 2)
    expect(blocks.get(0, 'lastDataSendMs')).toBe(dataMs)
  })

  test('the first data sent after an answer starts a new wait for one', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    const { blocks } = harness.plane
    await harness.injectPackets(TO_PEER_0)
    const firstMs = blocks.get(0, 'firstUnansweredSendMs')
    await harness.pass(2)
    await harness.injectPackets(TO_PEER_0)
    expect(blocks.get(0, 'firstUnansweredSendMs')).toBe(firstMs)
    await harness.injectDatagrams([far.datagram(harness.v4.remotes[0], new Uint8Array(0))])
    await harness.injectPackets(TO_PEER_0)
    const secondMs = blocks.get(0, 'firstUnansweredSendMs')
    expect(secondMs).toBeGreaterThan(blocks.get(0, 'lastReceiveMs'))
    expect(secondMs).toBe(blocks.get(0, 'lastDataSendMs'))
  })

  test('a keepalive is an empty message of 32 bytes', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    harness.plane.sendKeepalive(0)
    const [sent, ...others] = await harness.takeDatagrams()
    expect(others).toEqual([])
    expect(sent?.bytes).toEqual(far.expected(new Uint8Array(0), 0n))
    expect(sent?.tos).toBe(0)
  })
}

function indexIn(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(4, true)
}
