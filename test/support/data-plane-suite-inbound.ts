/** Compliance: datagrams from the wire to the inner interface. */

import { expect, test } from 'vitest'
import { concatBytes } from '../../src/base/bytes.js'
import { addPeers, type DataPlaneHarness, eventsOf, FarEnd, prefix } from './data-plane-harness.js'
import type { HarnessOf } from './data-plane-suite.js'
import { innerPacket, ipv4Checksum } from './inner-packets.js'

const EMPTY = new Uint8Array(0)
const FROM_PEER_0 = innerPacket('10.0.0.5', '10.9.0.1')
const REJECT_AFTER_MESSAGES = (1n << 64n) - (1n << 13n) - 1n

function deviceDrops(harness: DataPlaneHarness): Record<string, number> {
  return harness.plane.blocks.drops(harness.plane.blocks.deviceSlot)
}

function withPeer(harness: DataPlaneHarness, ageMs = 0, isInitiator = true): FarEnd {
  addPeers(harness, 0)
  const far = new FarEnd(harness, { localIndex: 7, ageMs, isInitiator })
  far.install(0)
  return far
}

export function inboundTests(harnessOf: HarnessOf): void {
  test.each([
    ['10.0.0.5', '10.9.0.1'],
    ['fd00:0::5', 'fd00:9::1'],
  ])('a packet is written as it was sent, without its padding: %s to %s', async (from, to) => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const packet = innerPacket(from, to, { length: 77 })
    const padded = concatBytes(packet, new Uint8Array(3))
    await harness.injectDatagrams([far.datagram(harness.v4.remotes[0], padded)])
    expect(await harness.takePackets()).toEqual([packet])
    expect(harness.plane.blocks.drops(0)).toEqual({})
  })

  test('packets of one batch keep their order, whatever is dropped between them', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const packets = Array.from({ length: 150 }, (_, i) => {
      return innerPacket(i % 7 === 3 ? '10.200.0.1' : '10.0.0.5', '10.9.0.1', { length: 40 + i, mark: i })
    })
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams(packets.map((packet) => far.datagram(remote, packet)))
    expect(await harness.takePackets()).toEqual(packets.filter((_, i) => i % 7 !== 3))
    expect(harness.plane.blocks.drops(0)).toEqual({ sourceNotAllowed: 21 })
  })

  test('an inner source outside the allowed IPs is dropped, though its bytes count as received', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    harness.plane.addPeer(1)
    harness.plane.changeAllowedIps([{ prefix: prefix('10.0.0.5/32'), slot: 1 }])
    await harness.injectDatagrams([far.datagram(harness.v4.remotes[0], FROM_PEER_0)])
    expect(await harness.takePackets()).toEqual([])
    expect(harness.plane.blocks.drops(0)).toEqual({ sourceNotAllowed: 1 })
    expect(harness.plane.blocks.get(0, 'rxBytes')).toBe(16 + 60 + 16)
  })

  test.each([
    ['no IP version', Uint8Array.of(0x75, ...FROM_PEER_0.subarray(1))],
    ['a v4 header cut short', FROM_PEER_0.subarray(0, 19)],
    ['a v4 length above what came', Uint8Array.of(0x45, 0, 0, 61, ...FROM_PEER_0.subarray(4))],
    ['a v4 length below a header', Uint8Array.of(0x45, 0, 0, 19, ...FROM_PEER_0.subarray(4))],
    ['a v6 header cut short', innerPacket('fd00:0::5', 'fd00:9::1').subarray(0, 39)],
    ['a v6 length above what came', innerPacket('fd00:0::5', 'fd00:9::1').subarray(0, 59)],
  ])('%s is a malformedPacket', async (_, bytes) => {
    const harness = harnessOf()
    const far = withPeer(harness)
    await harness.injectDatagrams([far.datagram(harness.v4.remotes[0], bytes)])
    expect(await harness.takePackets()).toEqual([])
    expect(harness.plane.blocks.drops(0)).toEqual({ malformedPacket: 1 })
    expect(harness.plane.blocks.get(0, 'rxMessages')).toBe(1)
  })

  test('a transport message below 32 bytes is a malformedDatagram, and never goes up', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const bytes = far.seal(EMPTY).subarray(0, 31)
    await harness.injectDatagrams([{ from: harness.v4.remotes[0], bytes }])
    expect(await harness.takeEvents()).toEqual([])
    expect(deviceDrops(harness)).toEqual({ malformedDatagram: 1 })
  })

  test('an index of no keypair is an unknownReceiver', async () => {
    const harness = harnessOf()
    withPeer(harness)
    const stranger = new FarEnd(harness, { localIndex: 0xdead_beef })
    await harness.injectDatagrams([stranger.datagram(harness.v4.remotes[0], FROM_PEER_0)])
    expect(await harness.takeEvents()).toEqual([])
    expect(deviceDrops(harness)).toEqual({ unknownReceiver: 1 })
  })

  test('what does not authenticate leaves no trace but a counter', async () => {
    const harness = harnessOf()
    const far = withPeer(harness, 0, false)
    const genuine = far.seal(FROM_PEER_0)
    const forgeries = [...genuine.keys()].slice(8).map((i) => {
      const bytes = genuine.slice()
      bytes[i] = (bytes[i] as number) ^ 1
      return { from: harness.v4.remotes[1], bytes }
    })
    await harness.injectDatagrams(forgeries)
    const { blocks } = harness.plane
    expect(await harness.takePackets()).toEqual([])
    expect(await harness.takeEvents()).toEqual([])
    expect(blocks.drops(0)).toEqual({ authenticationFailed: forgeries.length })
    for (const field of ['rxBytes', 'rxMessages', 'lastReceiveMs', 'lastDataReceiveMs'] as const) {
      expect(blocks.get(0, field)).toBe(0)
    }
    // The replay window has not moved and the keypair is still next: the genuine one comes through.
    await harness.injectDatagrams([{ from: harness.v4.remotes[0], bytes: genuine }])
    expect(await harness.takePackets()).toEqual([FROM_PEER_0])
  })

  test('a message that came before is replayed, and does not move the path', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const bytes = far.seal(FROM_PEER_0)
    const [first, second] = harness.v4.remotes
    await harness.injectDatagrams([{ from: first, bytes }])
    await harness.takeEvents()
    await harness.injectDatagrams([
      { from: second, bytes },
      { from: second, bytes },
    ])
    expect(await harness.takePackets()).toEqual([FROM_PEER_0])
    expect(await harness.takeEvents()).toEqual([])
    expect(harness.plane.blocks.drops(0)).toEqual({ replayed: 2 })
    expect(harness.plane.blocks.get(0, 'rxMessages')).toBe(1)
  })

  test('messages may overtake each other, but not by more than the window', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const counters = [9_000n, 8_999n, 5_000n, 1_000n, 9_001n, 0n, 2n]
    const [remote] = harness.v4.remotes
    const packets = counters.map((_, i) => innerPacket('10.0.0.5', '10.9.0.1', { mark: i }))
    await harness.injectDatagrams(
      counters.map((counter, i) => far.datagram(remote, packets[i] ?? EMPTY, counter)),
    )
    expect(await harness.takePackets()).toEqual(packets.slice(0, 5))
    expect(harness.plane.blocks.drops(0)).toEqual({ replayed: 2 })
  })

  test('counters above 2^53 are told apart', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const [remote] = harness.v4.remotes
    const high = (1n << 63n) + 1n
    const sent = [high, high + 1n, high, high + 2n]
    await harness.injectDatagrams(sent.map((counter) => far.datagram(remote, FROM_PEER_0, counter)))
    expect(await harness.takePackets()).toHaveLength(3)
    expect(harness.plane.blocks.drops(0)).toEqual({ replayed: 1 })
  })

  test('a counter of REJECT_AFTER_MESSAGES is refused, the one below it is not', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams([
      far.datagram(remote, FROM_PEER_0, REJECT_AFTER_MESSAGES),
      far.datagram(remote, FROM_PEER_0, (1n << 64n) - 1n),
      far.datagram(remote, FROM_PEER_0, REJECT_AFTER_MESSAGES - 1n),
    ])
    expect(await harness.takePackets()).toHaveLength(1)
    expect(harness.plane.blocks.drops(0)).toEqual({ keypairExpired: 2 })
  })

  test('a keypair of 180 s receives nothing any more, one of 179 s does', async () => {
    const harness = harnessOf()
    const far = withPeer(harness, 180_000)
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0)])
    expect(harness.plane.blocks.drops(0)).toEqual({ keypairExpired: 1 })
    const younger = new FarEnd(harness, { localIndex: 8, ageMs: 179_000 })
    younger.install(0)
    await harness.injectDatagrams([younger.datagram(remote, FROM_PEER_0)])
    expect(await harness.takePackets()).toHaveLength(1)
  })

  test('receiving counts whole messages and notes the times of data and of anything', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const { blocks } = harness.plane
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0)])
    const dataMs = blocks.get(0, 'lastDataReceiveMs')
    expect(blocks.get(0, 'rxBytes')).toBe(16 + 60 + 16)
    expect(dataMs).toBeGreaterThan(0)
    expect(dataMs).toBeLessThan(harness.nowMs() + 1)
    expect(blocks.get(0, 'lastReceiveMs')).toBe(dataMs)
    expect(blocks.get(0, 'firstUnansweredReceiveMs')).toBe(dataMs)
    await harness.pass(2)
    await harness.injectDatagrams([far.datagram(remote, EMPTY)])
    expect(blocks.get(0, 'rxBytes')).toBe(92 + 32)
    expect(blocks.get(0, 'rxMessages')).toBe(2)
    expect(blocks.get(0, 'lastReceiveMs')).toBeGreaterThanOrEqual(dataMs + 2)
    expect(blocks.get(0, 'lastDataReceiveMs')).toBe(dataMs)
    expect(await harness.takePackets()).toHaveLength(1)
  })

  test('the first data received after something was sent starts a new wait for an answer', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const { blocks } = harness.plane
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0)])
    const firstMs = blocks.get(0, 'firstUnansweredReceiveMs')
    await harness.pass(2)
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0)])
    expect(blocks.get(0, 'firstUnansweredReceiveMs')).toBe(firstMs)
    harness.plane.sendKeepalive(0)
    await harness.takeDatagrams()
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0)])
    expect(blocks.get(0, 'firstUnansweredReceiveMs')).toBeGreaterThan(blocks.get(0, 'lastSendMs'))
  })

  test.each([
    ['an initiator, 165 s old', true, 165_000, 1],
    ['an initiator, 164 s old', true, 164_000, 0],
    ['a responder, 179 s old', false, 179_000, 0],
  ])('receiving data under a keypair of %s', async (_, isInitiator, ageMs, asked) => {
    const harness = harnessOf()
    const far = withPeer(harness, ageMs, isInitiator)
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0), far.datagram(remote, FROM_PEER_0)])
    expect(eventsOf(await harness.takeEvents(), 'handshakeNeeded')).toHaveLength(asked)
  })

  test.each([
    ['10.0.0.5', '10.9.0.1'],
    ['fd00:0::5', 'fd00:9::1'],
  ])('congestion marked outside is marked inside, where the ends can read it: %s to %s', async (from, to) => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const [remote] = harness.v4.remotes
    const outer = [0, 1, 2, 3]
    const inner = [0xb8, 0xb9, 0xba, 0xbb]
    const datagrams = outer.flatMap((tos) =>
      inner.map((innerTos) => ({ ...far.datagram(remote, innerPacket(from, to, { tos: innerTos })), tos })),
    )
    await harness.injectDatagrams(datagrams)
    const expected = outer.flatMap((tos) =>
      inner.map((innerTos) => {
        const marked = tos === 3 && innerTos !== 0xb8 ? 0xbb : innerTos
        return innerPacket(from, to, { tos: marked })
      }),
    )
    const written = await harness.takePackets()
    expect(written).toEqual(expected)
    for (const packet of from.includes(':') ? [] : written) {
      expect(new DataView(packet.buffer, packet.byteOffset).getUint16(10)).toBe(ipv4Checksum(packet))
    }
  })

  test('what is not transport data goes up in the order in which it came', async () => {
    const harness = harnessOf()
    const [from] = harness.v4.remotes
    for (let round = 0; round < 20; round++) {
      const datagrams = Array.from({ length: 40 }, (_, i) => ({
        from,
        bytes: new Uint8Array(148).fill(100 + i),
      }))
      await harness.injectDatagrams(datagrams)
      const events = await harness.takeEvents()
      const numbers = events.map((event) => (event.kind === 'datagram' ? event.bytes[0] : undefined))
      expect(numbers).toEqual(datagrams.map(({ bytes }) => bytes[0]))
    }
  })

  test('what is not transport data goes up with the way back, as a copy', async () => {
    const harness = harnessOf()
    withPeer(harness)
    const [remote] = harness.v4.remotes
    const datagrams = [1, 2, 3, 5, 0x104].map((type) => {
      const bytes = new Uint8Array(148).fill(type)
      new DataView(bytes.buffer).setUint32(0, type, true)
      return { from: remote, bytes }
    })
    await harness.injectDatagrams(datagrams)
    const [local] = harness.v4.locals
    expect(await harness.takeEvents()).toEqual(
      datagrams.map(({ bytes }) => ({
        kind: 'datagram',
        path: { socket: harness.v4.socket, remote, local },
        bytes,
      })),
    )
  })

  test('a flood of control datagrams is bounded, and the surplus is counted', async () => {
    const harness = harnessOf()
    const far = withPeer(harness)
    const [remote] = harness.v4.remotes
    const junk = new Array<Uint8Array>(200).fill(Uint8Array.of(1, 0, 0, 0, 9))
    await harness.injectDatagrams([
      ...junk.map((bytes) => ({ from: remote, bytes })),
      far.datagram(remote, FROM_PEER_0),
    ])
    const went = eventsOf(await harness.takeEvents(), 'datagram').length
    expect(went).toBeGreaterThan(0)
    expect(went + (deviceDrops(harness).controlOverflow ?? 0)).toBe(200)
    expect(await harness.takePackets()).toEqual([FROM_PEER_0])
    await harness.injectDatagrams([{ from: remote, bytes: Uint8Array.of(2, 0, 0, 0) }])
    expect(await harness.takeEvents()).toHaveLength(1)
  })
}
