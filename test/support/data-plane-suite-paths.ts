/** Compliance: sockets, paths, roaming, control datagrams, the end. */

import { expect, test } from 'vitest'
import { PlatformError } from '../../src/base/errors.js'
import { addPeers, eventsOf, FarEnd, type HarnessSocket, pathTo } from './data-plane-harness.js'
import type { HarnessOf } from './data-plane-suite.js'
import { innerPacket } from './inner-packets.js'

const EMPTY = new Uint8Array(0)
const TO_PEER_0 = innerPacket('10.9.0.1', '10.0.0.5')

export function pathTests(harnessOf: HarnessOf): void {
  for (const family of ['v4', 'v6'] as const) {
    test(`a message goes over ${family} to the remote of the path, from its local address`, async () => {
      const harness = harnessOf()
      const socket = harness[family]
      addPeers(harness, 0)
      new FarEnd(harness, { localIndex: 7 }).install(0)
      for (const local of socket.locals) {
        harness.plane.setPath(0, { socket: socket.socket, remote: socket.remotes[1], local })
        await harness.injectPackets(TO_PEER_0)
        const [sent] = await harness.takeDatagrams()
        expect(sent?.to).toEqual(socket.remotes[1])
        expect(sent?.from).toEqual(localEndpoint(socket, local))
      }
    })

    test.each<[1 | 2, string]>([
      [1, 'another address'],
      [2, 'another port'],
    ])(
      `authentic messages over ${family} from elsewhere move the path, said once: remote %i, %s`,
      async (which) => {
        const harness = harnessOf()
        addPeers(harness, 0)
        const far = new FarEnd(harness, { localIndex: 7 })
        far.install(0)
        const { remotes, locals, socket } = harness[family]
        const remote = remotes[which]
        await harness.injectDatagrams([far.datagram(remotes[0], EMPTY)])
        await harness.takeEvents()
        await harness.injectDatagrams([far.datagram(remote, EMPTY), far.datagram(remote, EMPTY)])
        expect(await harness.takeEvents()).toEqual([
          {
            kind: 'sourceChanged',
            slot: 0,
            localIndex: far.localIndex,
            path: { socket, remote, local: locals[0] },
          },
        ])
        await harness.injectPackets(TO_PEER_0)
        const [sent] = await harness.takeDatagrams()
        expect(sent?.to).toEqual(remote)
        expect(sent?.from.address).toEqual(locals[0])
      },
    )
  }

  test('the answer leaves from the address that was asked', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    const { remotes, locals, socket } = harness.v4
    await harness.injectDatagrams([far.datagram(remotes[0], EMPTY)])
    await harness.takeEvents()
    await harness.injectDatagrams([{ ...far.datagram(remotes[0], EMPTY), to: locals[1] }])
    expect(await harness.takeEvents()).toEqual([
      {
        kind: 'sourceChanged',
        slot: 0,
        localIndex: far.localIndex,
        path: { socket, remote: remotes[0], local: locals[1] },
      },
    ])
    await harness.injectPackets(TO_PEER_0)
    const [sent] = await harness.takeDatagrams()
    expect(sent?.from.address).toEqual(locals[1])
  })

  test('a peer roams from v4 to v6', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    await harness.injectDatagrams([far.datagram(harness.v6.remotes[0], EMPTY)])
    expect(eventsOf(await harness.takeEvents(), 'sourceChanged')).toHaveLength(1)
    await harness.injectPackets(TO_PEER_0)
    const [sent] = await harness.takeDatagrams()
    expect(sent?.to).toEqual(harness.v6.remotes[0])
  })

  test('one batch reaches peers behind different sockets, each in order', async () => {
    const harness = harnessOf()
    addPeers(harness, 0, 1)
    harness.plane.setPath(1, pathTo(harness.v6))
    const far = [new FarEnd(harness, { localIndex: 7 }), new FarEnd(harness, { localIndex: 8 })] as const
    for (const [slot, end] of far.entries()) end.install(slot)
    const packets = Array.from({ length: 90 }, (_, i) =>
      innerPacket('10.9.0.1', `10.0.${i % 3 === 0 ? 1 : 0}.5`, { length: 64, mark: i }),
    )
    await harness.injectPackets(...packets)
    const sent = await harness.takeDatagrams()
    for (const [slot, end] of far.entries()) {
      const family = slot === 0 ? 4 : 6
      const opened = sent.filter(({ to }) => to.address.family === family).map(({ bytes }) => end.open(bytes))
      expect(opened.map(({ padded }) => padded)).toEqual(
        packets.filter((_, i) => (i % 3 === 0) === (slot === 1)),
      )
      expect(opened.map(({ counter }) => counter)).toEqual(opened.map((_, i) => BigInt(i)))
    }
  })

  test('paths over a closed socket are gone, until another one is set', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    new FarEnd(harness, { localIndex: 7 }).install(0)
    harness.plane.closeSocket(harness.v4.socket)
    await harness.injectPackets(TO_PEER_0)
    expect(await harness.takeDatagrams()).toEqual([])
    expect(harness.plane.blocks.drops(0)).toEqual({ noPath: 1 })
    expect(harness.plane.sendDatagram(pathTo(harness.v4), Uint8Array.of(1), 0)).toBe(false)
    harness.plane.setPath(0, pathTo(harness.v6))
    await harness.injectPackets(TO_PEER_0)
    expect(await harness.takeDatagrams()).toHaveLength(1)
  })

  test('packets that wait when the path is taken away are dropped as noPath', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    await harness.injectPackets(TO_PEER_0)
    harness.plane.setPath(0, undefined)
    new FarEnd(harness, { localIndex: 7 }).installAndProve(0)
    harness.plane.sendKeepalive(0)
    expect(await harness.takeDatagrams()).toEqual([])
    expect(harness.plane.blocks.drops(0)).toEqual({ noPath: 2 })
  })

  test('a socket names the port it got, a taken port is refused, and names are not used again', () => {
    const { plane, v4 } = harnessOf()
    const opened = plane.openSocket({ family: 4, port: 0, mark: 0 })
    expect(opened.port).toBeGreaterThan(0)
    expect(opened.port).not.toBe(v4.port)
    const refusal = capture(() => plane.openSocket({ family: 4, port: opened.port, mark: 0 }))
    expect(refusal).toBeInstanceOf(PlatformError)
    expect(refusal).toMatchObject({ errno: 'EADDRINUSE' })
    plane.closeSocket(opened.socket)
    const again = plane.openSocket({ family: 4, port: opened.port, mark: 0 })
    expect([v4.socket, opened.socket]).not.toContain(again.socket)
  })

  test('a control datagram goes out as it is, with its type of service', async () => {
    const harness = harnessOf()
    const bytes = Uint8Array.from({ length: 148 }, (_, i) => i)
    for (const family of ['v4', 'v6'] as const) {
      const { socket, remotes, locals } = harness[family]
      const path = { socket, remote: remotes[1], local: locals[1] }
      expect(harness.plane.sendDatagram(path, bytes, 0x88)).toBe(true)
    }
    const sent = await harness.takeDatagrams()
    expect(sent).toEqual(
      [harness.v4, harness.v6].map((socket) => ({
        from: localEndpoint(socket, socket.locals[1]),
        to: socket.remotes[1],
        tos: 0x88,
        bytes,
      })),
    )
  })

  test('stopping ends all work, twice if need be', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const material = new FarEnd(harness, { localIndex: 7 }).material()
    harness.plane.installKeypair(0, material)
    await harness.plane.stop()
    await harness.plane.stop()
    expect(material.sendKey.every((byte) => byte === 0)).toBe(true)
    expect(harness.plane.sendDatagram(pathTo(harness.v4), Uint8Array.of(1), 0)).toBe(false)
    harness.plane.sendKeepalive(0)
    expect(await harness.takeDatagrams()).toEqual([])
    expect(await harness.takeEvents()).toEqual([])
  })
}

function localEndpoint(
  socket: HarnessSocket,
  address: HarnessSocket['locals'][0],
): HarnessSocket['remotes'][0] {
  return { address, port: socket.port, scopeId: 0 }
}

function capture(action: () => unknown): unknown {
  try {
    action()
    return undefined
  } catch (error) {
    return error
  }
}
