/** Compliance: frame ports, paths that TypeScript carries, and peers that do not roam. */

import { expect, test } from 'vitest'
import { FRAME_HEADROOM_BYTES } from '../../src/dataplane/contract.js'
import type { Endpoint } from '../../src/net/endpoint.js'
import { addPeers, type DataPlaneHarness, eventsOf, FarEnd, pathTo } from './data-plane-harness.js'
import type { HarnessOf } from './data-plane-suite.js'
import { innerPacket, ip } from './inner-packets.js'

const EMPTY = new Uint8Array(0)
const TO_PEER_0 = innerPacket('10.9.0.1', '10.0.0.5')
const FROM_PEER_0 = innerPacket('10.0.0.5', '10.9.0.1')
const RELAY: Endpoint = { address: ip('fd00:9::1'), port: 1, scopeId: 0 }

export function frameTests(harnessOf: HarnessOf): void {
  /** A frame port with the path of peer 0 over it. */
  function overFramePort(harness: DataPlaneHarness): { port: number; far: FarEnd } {
    addPeers(harness, 0)
    const port = harness.plane.openFramePort()
    harness.plane.setPath(0, { socket: port, remote: RELAY, local: undefined })
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    return { port, far }
  }

  test('messages over a frame port come up whole, in order, with room before them', async () => {
    const harness = harnessOf()
    const { port, far } = overFramePort(harness)
    const packets = Array.from({ length: 20 }, (_, mark) =>
      innerPacket('10.9.0.1', '10.0.0.5', { length: 64, mark }),
    )
    await harness.injectPackets(...packets)
    const events = eventsOf(await harness.takeEvents(), 'frames')
    const opened = events.flatMap((event) => {
      expect(event).toMatchObject({ port, remote: RELAY, isControl: false })
      return segmentsOf(event.frame.subarray(FRAME_HEADROOM_BYTES), event.segmentBytes).map(
        (message) => far.open(message).padded,
      )
    })
    expect(opened).toEqual(packets)
    expect(await harness.takeDatagrams()).toEqual([])
  })

  test('a control datagram over a frame port says what it is', async () => {
    const harness = harnessOf()
    const { port } = overFramePort(harness)
    const bytes = Uint8Array.from({ length: 148 }, (_, i) => i + 1)
    const path = { socket: port, remote: RELAY, local: undefined }
    expect(harness.plane.sendDatagram(path, bytes, 0x88)).toBe(true)
    const [event] = eventsOf(await harness.takeEvents(), 'frames')
    expect(event).toMatchObject({ port, remote: RELAY, isControl: true, segmentBytes: 148 })
    expect(event?.frame.subarray(FRAME_HEADROOM_BYTES)).toEqual(bytes)
  })

  test('delivered messages are opened and written like those of a socket', async () => {
    const harness = harnessOf()
    const { port, far } = overFramePort(harness)
    const first = far.seal(FROM_PEER_0)
    const second = far.seal(FROM_PEER_0)
    const both = new Uint8Array(first.length + second.length)
    both.set(first, 0)
    both.set(second, first.length)
    harness.plane.deliver(port, RELAY, both, first.length)
    expect(await harness.takePackets()).toEqual([FROM_PEER_0, FROM_PEER_0])
    harness.plane.deliver(port, RELAY, first, first.length)
    expect(await harness.takePackets()).toEqual([])
    harness.plane.deliver(port, RELAY, far.seal(FROM_PEER_0), 0)
    expect(await harness.takePackets()).toEqual([FROM_PEER_0])
  })

  test('what is delivered and no transport data comes up as a datagram of the port', async () => {
    const harness = harnessOf()
    const { port } = overFramePort(harness)
    const bytes = Uint8Array.of(0x6f, 0x76, 0x6c, 1, 2, 3)
    harness.plane.deliver(port, RELAY, bytes.slice(), bytes.length)
    const [event] = eventsOf(await harness.takeEvents(), 'datagram')
    expect(event?.bytes).toEqual(bytes)
    expect(event?.path).toMatchObject({ socket: port, remote: RELAY })
  })

  test('a closed frame port carries nothing', async () => {
    const harness = harnessOf()
    const { port, far } = overFramePort(harness)
    harness.plane.closeSocket(port)
    await harness.injectPackets(TO_PEER_0)
    const message = far.seal(FROM_PEER_0)
    harness.plane.deliver(port, RELAY, message, message.length)
    expect(await harness.takeEvents()).toEqual([])
    expect(await harness.takePackets()).toEqual([])
    expect(harness.plane.blocks.drops(0)).toEqual({ noPath: 1 })
  })

  test('a peer that does not roam keeps its path, whatever comes from elsewhere', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    harness.plane.setRoaming(0, false)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    await harness.injectDatagrams([far.datagram(harness.v4.remotes[1], EMPTY)])
    expect(await harness.takeEvents()).toEqual([])
    await harness.injectPackets(TO_PEER_0)
    const [sent] = await harness.takeDatagrams()
    expect(sent?.to).toEqual(harness.v4.remotes[0])
  })

  test('a path moves from a frame port to a socket and back', async () => {
    const harness = harnessOf()
    const { port } = overFramePort(harness)
    harness.plane.setPath(0, pathTo(harness.v4))
    await harness.injectPackets(TO_PEER_0)
    expect(await harness.takeDatagrams()).toHaveLength(1)
    expect(await harness.takeEvents()).toEqual([])
    harness.plane.setPath(0, { socket: port, remote: RELAY, local: undefined })
    await harness.injectPackets(TO_PEER_0)
    expect(eventsOf(await harness.takeEvents(), 'frames')).toHaveLength(1)
    expect(await harness.takeDatagrams()).toEqual([])
  })
}

function segmentsOf(messages: Uint8Array, segmentBytes: number): Uint8Array[] {
  const segments: Uint8Array[] = []
  for (let at = 0; at < messages.length; at += segmentBytes) {
    segments.push(messages.slice(at, Math.min(messages.length, at + segmentBytes)))
  }
  return segments
}
