/** Compliance: installing, confirming and removing keypairs, and the life of a slot. */

import { expect, test } from 'vitest'
import { addPeers, type DataPlaneHarness, eventsOf, FarEnd, pathTo } from './data-plane-harness.js'
import type { HarnessOf } from './data-plane-suite.js'
import { innerPacket } from './inner-packets.js'

const EMPTY = new Uint8Array(0)
const FROM_PEER_0 = innerPacket('10.0.0.5', '10.9.0.1')
const TO_PEER_0 = innerPacket('10.9.0.1', '10.0.0.5')

function ends(harness: DataPlaneHarness, isInitiator: boolean, ...indices: readonly number[]): FarEnd[] {
  return indices.map((localIndex) => new FarEnd(harness, { localIndex, isInitiator }))
}

/** Which of them get a packet through to the inner interface. */
async function receiving(harness: DataPlaneHarness, ...far: readonly FarEnd[]): Promise<number[]> {
  const indices: number[] = []
  for (const end of far) {
    await harness.injectDatagrams([end.datagram(harness.v4.remotes[0], FROM_PEER_0)])
    if ((await harness.takePackets()).length === 1) indices.push(end.localIndex)
  }
  return indices
}

/** Receiver index of what a packet now goes out with. */
async function sendingIndex(harness: DataPlaneHarness): Promise<number | undefined> {
  await harness.takeDatagrams()
  await harness.injectPackets(TO_PEER_0)
  const [sent] = await harness.takeDatagrams()
  return sent === undefined
    ? undefined
    : new DataView(sent.bytes.buffer, sent.bytes.byteOffset).getUint32(4, true)
}

export function keypairTests(harnessOf: HarnessOf): void {
  test("an initiator's keypairs: the new one sends, the one before still receives", async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const [a, b, c] = ends(harness, true, 11, 12, 13) as [FarEnd, FarEnd, FarEnd]
    expect(a.install(0)).toEqual([])
    expect(b.install(0)).toEqual([])
    expect(await sendingIndex(harness)).toBe(b.remoteIndex)
    expect(await receiving(harness, a, b, c)).toEqual([11, 12])
    expect(c.install(0)).toEqual([11])
    expect(await sendingIndex(harness)).toBe(c.remoteIndex)
    expect(await receiving(harness, a, b, c)).toEqual([12, 13])
  })

  test("a responder's keypair takes over with the first message under it", async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const [old] = ends(harness, true, 11) as [FarEnd]
    const [next] = ends(harness, false, 12) as [FarEnd]
    old.install(0)
    expect(next.install(0)).toEqual([])
    expect(await sendingIndex(harness)).toBe(old.remoteIndex)
    await harness.takeEvents()
    await harness.injectDatagrams([
      next.datagram(harness.v4.remotes[0], EMPTY),
      next.datagram(harness.v4.remotes[0], EMPTY),
    ])
    expect(eventsOf(await harness.takeEvents(), 'keypairConfirmed')).toEqual([
      { kind: 'keypairConfirmed', slot: 0, localIndex: 12, removed: [] },
    ])
    expect(await sendingIndex(harness)).toBe(next.remoteIndex)
    expect(await receiving(harness, old, next)).toEqual([11, 12])
  })

  test('confirming drops the previous keypair for the current one', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = ends(harness, false, 11, 12, 13) as [FarEnd, FarEnd, FarEnd]
    for (const end of far) {
      end.install(0)
      await harness.injectDatagrams([end.datagram(harness.v4.remotes[0], EMPTY)])
    }
    const confirmed = eventsOf(await harness.takeEvents(), 'keypairConfirmed')
    // Installing 13 already removed 11: a responder keeps no previous one beside an unproven next.
    expect(confirmed.map(({ removed }) => removed)).toEqual([[], [], []])
    expect(await receiving(harness, ...far)).toEqual([12, 13])
  })

  test("a responder's new keypair removes the unproven one and the previous one", async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const [a, b] = ends(harness, true, 11, 12) as [FarEnd, FarEnd]
    const [c, d] = ends(harness, false, 13, 14) as [FarEnd, FarEnd]
    a.install(0)
    b.install(0)
    expect(c.install(0)).toEqual([11])
    expect(d.install(0)).toEqual([13])
    expect(await receiving(harness, a, b, c)).toEqual([12])
    expect(await sendingIndex(harness)).toBe(b.remoteIndex)
    expect(await receiving(harness, d)).toEqual([14])
    expect(await sendingIndex(harness)).toBe(d.remoteIndex)
  })

  test("an initiator's new keypair keeps an unproven one as previous and removes the current one", async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const [a] = ends(harness, true, 11) as [FarEnd]
    const [b] = ends(harness, false, 12) as [FarEnd]
    const [c] = ends(harness, true, 13) as [FarEnd]
    a.install(0)
    b.install(0)
    expect(c.install(0)).toEqual([11])
    await harness.takeEvents()
    expect(await receiving(harness, a, b, c)).toEqual([12, 13])
    expect(eventsOf(await harness.takeEvents(), 'keypairConfirmed')).toEqual([])
    expect(await sendingIndex(harness)).toBe(c.remoteIndex)
  })

  test('removing all keypairs gives their indices, and nothing is received or sent any more', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const [a, b] = ends(harness, true, 11, 12) as [FarEnd, FarEnd]
    const [c] = ends(harness, false, 13) as [FarEnd]
    a.install(0)
    c.install(0)
    expect([...harness.plane.removeKeypairs(0)].sort()).toEqual([11, 13])
    expect(harness.plane.removeKeypairs(0)).toEqual([])
    expect(await receiving(harness, a, b, c)).toEqual([])
    expect(await sendingIndex(harness)).toBeUndefined()
    expect(harness.plane.blocks.drops(harness.plane.blocks.deviceSlot)).toEqual({ unknownReceiver: 3 })
  })

  test('keys are wiped when their keypair is removed', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const material = new FarEnd(harness, { localIndex: 11 }).material()
    harness.plane.installKeypair(0, material)
    harness.plane.removeKeypairs(0)
    expect([...material.sendKey, ...material.receiveKey].every((byte) => byte === 0)).toBe(true)
  })

  test('a removed peer leaves nothing to the next one in its slot', async () => {
    const harness = harnessOf()
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 11 })
    far.install(0)
    await harness.injectPackets(TO_PEER_0)
    await harness.takeDatagrams()
    expect(harness.plane.removePeer(0)).toEqual([11])
    expect(await sendingIndex(harness)).toBeUndefined()
    expect(await receiving(harness, far)).toEqual([])
    const { plane } = harness
    plane.addPeer(0)
    plane.setPath(0, pathTo(harness.v4))
    const heir = new FarEnd(harness, { localIndex: 12 })
    heir.install(0)
    expect(await sendingIndex(harness)).toBeUndefined()
    expect(await receiving(harness, heir)).toEqual([])
    expect(plane.blocks.drops(0)).toEqual({ sourceNotAllowed: 1 })
    plane.removePeer(0)
    addPeers(harness, 0)
    expect(harness.plane.blocks.get(0, 'txBytes')).toBe(0)
    expect(harness.plane.blocks.drops(0)).toEqual({})
    await harness.injectPackets(TO_PEER_0)
    expect(eventsOf(await harness.takeEvents(), 'handshakeNeeded')).toHaveLength(1)
  })
}
