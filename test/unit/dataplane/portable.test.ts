/** What only the portable data plane promises, or only fake ports can show. */

import { beforeEach, describe, expect, test } from 'vitest'
import { nobleCrypto } from '../../../src/wireguard/crypto-noble.js'
import { addPeers, FarEnd, pathTo } from '../../support/data-plane-harness.js'
import { innerPacket } from '../../support/inner-packets.js'
import { createPortableHarness, type PortableHarness } from '../../support/portable-harness.js'

const EMPTY = new Uint8Array(0)
const TO_PEER_0 = innerPacket('10.9.0.1', '10.0.0.5')
const TO_PEER_1 = innerPacket('10.9.0.1', '10.0.1.5')
const FROM_PEER_0 = innerPacket('10.0.0.5', '10.9.0.1')

describe('portable data plane', () => {
  let harness: PortableHarness
  let far: FarEnd

  beforeEach(async () => {
    harness = await createPortableHarness(nobleCrypto)
    addPeers(harness, 0, 1)
    far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
  })

  test('a batch is sent with one call per socket', async () => {
    new FarEnd(harness, { localIndex: 8 }).install(1)
    harness.plane.setPath(1, pathTo(harness.v6))
    harness.inner.inject(TO_PEER_0, TO_PEER_1, TO_PEER_0, TO_PEER_1, TO_PEER_0)
    expect(harness.outerPorts.map((port) => port.batchSizes)).toEqual([[3], [2]])
    harness.inner.inject(TO_PEER_0, TO_PEER_0)
    expect(harness.outerPorts.map((port) => port.batchSizes)).toEqual([[3, 2], [2]])
  })

  test('what the socket refuses counts as outerSendFailed, and as an attempt to the timers', async () => {
    const [port] = harness.outerPorts
    if (port !== undefined) port.sendLimit = 1
    harness.inner.inject(TO_PEER_0, TO_PEER_0, TO_PEER_0)
    const { blocks } = harness.plane
    expect(blocks.drops(0)).toEqual({ outerSendFailed: 2 })
    expect(blocks.get(0, 'txMessages')).toBe(1)
    expect(blocks.get(0, 'txBytes')).toBe(96)
    expect(blocks.get(0, 'lastSendMs')).toBeGreaterThan(blocks.get(0, 'lastDataSendMs'))
  })

  test('what the interface refuses counts as innerWriteFailed', async () => {
    harness.inner.writeLimit = 1
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0), far.datagram(remote, FROM_PEER_0)])
    expect(harness.plane.blocks.drops(0)).toEqual({ innerWriteFailed: 1 })
    expect(harness.plane.blocks.get(0, 'rxMessages')).toBe(2)
  })

  test('a turn ends after a few batches, so that neither direction starves the other', () => {
    const { inner } = harness
    let readBatches = 0
    const readBatch = inner.readBatch.bind(inner)
    inner.readBatch = (slab) => {
      readBatches += 1
      return readBatch(slab)
    }
    const batchesPerTurn: number[] = []
    const onReadable = inner.onReadable
    inner.onReadable = () => {
      readBatches = 0
      onReadable?.()
      batchesPerTurn.push(readBatches)
    }
    inner.inject(...new Array<Uint8Array>(64 * 10).fill(TO_PEER_0))
    expect(batchesPerTurn).toEqual([4, 4, 3]) // the very last one finds nothing
  })

  test('the loss of the interface goes up with its errno', async () => {
    harness.inner.onGone?.('EBADFD')
    expect(await harness.takeEvents()).toEqual([
      { kind: 'failed', syscall: 'read', errno: 'EBADFD', socket: undefined },
    ])
  })

  test('a listener may call down, and hears of what that caused after it has returned', () => {
    let depth = 0
    const seen: string[] = []
    harness.onEvents = (events) => {
      depth += 1
      expect(depth).toBe(1)
      for (const event of events) seen.push(event.kind)
      if (seen.length === 1) {
        harness.plane.removeKeypairs(0)
        harness.plane.sendKeepalive(0)
        expect(seen).toHaveLength(1)
      }
      depth -= 1
    }
    harness.inner.inject(TO_PEER_1)
    expect(seen).toEqual(['handshakeNeeded', 'handshakeNeeded'])
  })

  test('messages of one moment have times in their order', async () => {
    const { blocks } = harness.plane
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0)])
    harness.inner.inject(TO_PEER_0)
    expect(blocks.get(0, 'lastSendMs')).toBeGreaterThan(blocks.get(0, 'firstUnansweredReceiveMs'))
    await harness.injectDatagrams([far.datagram(remote, FROM_PEER_0)])
    expect(blocks.get(0, 'firstUnansweredReceiveMs')).toBeGreaterThan(blocks.get(0, 'lastSendMs'))
    expect(blocks.get(0, 'lastReceiveMs')).toBeLessThan(harness.nowMs() + 1)
  })

  test('the mark reaches open sockets and later ones', () => {
    harness.plane.setMark(77)
    harness.plane.openSocket({ family: 4, port: 0, mark: 0 })
    harness.plane.openSocket({ family: 4, port: 0, mark: 5 })
    expect(harness.outerPorts.map((port) => port.mark)).toEqual([77, 77, 77, 5])
  })

  test('a local address the kernel did not tell is no change of path', async () => {
    const [remote] = harness.v4.remotes
    await harness.injectDatagrams([far.datagram(remote, EMPTY)])
    await harness.takeEvents()
    const [port] = harness.outerPorts
    const receiveBatch = port?.receiveBatch.bind(port)
    if (port === undefined || receiveBatch === undefined) throw new Error('no socket')
    port.receiveBatch = (slab, headers) => {
      const count = receiveBatch(slab, headers)
      headers.local.fill(0)
      return count
    }
    await harness.injectDatagrams([far.datagram(remote, EMPTY)])
    expect(await harness.takeEvents()).toEqual([])
    harness.plane.sendKeepalive(0)
    expect((await harness.takeDatagrams()).at(-1)?.from.address).toEqual(harness.v4.locals[0])
  })

  test('another scope or another socket is another path', async () => {
    const [remote] = harness.v6.remotes
    const other = harness.plane.openSocket({ family: 6, port: 0, mark: 0 })
    const to = { address: harness.v6.locals[0], scopeId: 0 }
    const [, first, second] = harness.outerPorts
    const arrive = (port: typeof first, scopeId: number): void =>
      port?.receive({
        from: { ...remote, scopeId },
        to: { ...to, port: port.port },
        tos: 0,
        bytes: far.seal(EMPTY),
      })
    arrive(first, 0)
    await harness.takeEvents()
    arrive(first, 3)
    arrive(second, 3)
    const scoped = { ...remote, scopeId: 3 }
    const local = harness.v6.locals[0]
    expect(await harness.takeEvents()).toEqual([
      {
        kind: 'sourceChanged',
        slot: 0,
        localIndex: far.localIndex,
        path: { socket: harness.v6.socket, remote: scoped, local },
      },
      {
        kind: 'sourceChanged',
        slot: 0,
        localIndex: far.localIndex,
        path: { socket: other.socket, remote: scoped, local },
      },
    ])
  })

  test('calls that make no sense are refused', () => {
    expect(() => harness.plane.addPeer(0)).toThrow(RangeError)
    expect(() => harness.plane.addPeer(4)).toThrow(RangeError)
    expect(() => harness.plane.setPath(2, undefined)).toThrow(RangeError)
    expect(() => harness.plane.setMtu(0)).toThrow(RangeError)
  })
})
