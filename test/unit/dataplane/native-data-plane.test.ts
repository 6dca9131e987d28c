/** What only the native data plane has: threads of its own, system limits, and an addon behind it. */

import { readdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import { AppError } from '../../../src/base/errors.js'
import { createNativeDataPlane } from '../../../src/dataplane/native/native-data-plane.js'
import { nativePlaneSource } from '../../../src/platform/plane.js'
import { addPeers, FarEnd } from '../../support/data-plane-harness.js'
import { inNamespace } from '../../support/in-namespace.js'
import { innerPacket } from '../../support/inner-packets.js'
import { createNativeHarness, type NativeHarness, prepareNamespace } from '../../support/native-harness.js'

const ONE_WAY = { hasOffloads: true, threads: 1 } as const

/** Carries packets between two planes from a thread of its own, and tells how many came. */
const TRAFFIC = `
  const { readSync, writeSync } = require('node:fs')
  const { workerData, parentPort } = require('node:worker_threads')
  const { input, output, packet, came, forMs } = workerData
  parentPort.once('message', () => {
    const buffer = new Uint8Array(70_000)
    const end = Date.now() + forMs
    let count = 0
    while (Date.now() < end) {
      try { writeSync(input, packet) } catch {}
      try { while (readSync(output, buffer) > 0) count++ } catch {}
    }
    Atomics.store(came, 0, count)
    Atomics.notify(came, 0)
  })
  parentPort.postMessage('ready')
`

inNamespace(import.meta.url, () => {
  prepareNamespace()
  const open: NativeHarness[] = []
  afterEach(async () => {
    for (const harness of open.splice(0)) await harness.stop()
  })
  const opened = async (options: Parameters<typeof createNativeHarness>[0]): Promise<NativeHarness> => {
    const harness = await createNativeHarness(options)
    open.push(harness)
    return harness
  }

  test('a stalled event loop stops no traffic', async () => {
    const [sender, receiver] = [await opened(ONE_WAY), await opened(ONE_WAY)]
    meet(sender, receiver)
    meet(receiver, sender)
    const came = new Int32Array(new SharedArrayBuffer(4))
    const packet = new Uint8Array([...new Uint8Array(10), ...innerPacket('10.0.0.5', '10.0.0.9')])
    const worker = new Worker(TRAFFIC, {
      eval: true,
      workerData: { input: sender.innerFd, output: receiver.innerFd, packet, came, forMs: 2_000 },
    })
    await new Promise((resolve) => worker.once('message', resolve))
    worker.postMessage('go')
    expect(Atomics.wait(came, 0, 0, 20_000)).toBe('ok')
    expect(Atomics.load(came, 0)).toBeGreaterThan(100)
    await worker.terminate()
  })

  test('a stalled event loop loses no keepalives', async () => {
    const harness = await opened(ONE_WAY)
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    harness.plane.setKeepaliveInterval(0, 1_000)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 7_000)
    // Nothing but the plane itself can have sent these.
    const sent = await harness.takeDatagrams()
    expect(sent.length).toBeGreaterThanOrEqual(2)
    for (const { bytes } of sent) expect(far.open(bytes).padded).toHaveLength(0)
  })

  test('what no datagram can carry is counted, and what follows goes out', async () => {
    const harness = await opened(ONE_WAY)
    addPeers(harness, 0)
    const far = new FarEnd(harness, { localIndex: 7 })
    far.install(0)
    const small = innerPacket('10.9.0.1', '10.0.0.5', { length: 64 })
    await harness.injectPackets(innerPacket('10.9.0.1', '10.0.0.5', { length: 65_535 }), small)
    const sent = await harness.takeDatagrams()
    expect(sent.map(({ bytes }) => far.open(bytes).padded)).toEqual([small])
    expect(harness.plane.blocks.drops(0)).toEqual({ outerSendFailed: 1 })
  })

  test('every size goes out and comes in', async () => {
    const [sender, receiver] = [await opened(ONE_WAY), await opened(ONE_WAY)]
    meet(sender, receiver)
    meet(receiver, sender)
    for (let length = 20; length < 65_475; length += length < 1_600 ? 1 : 1_009) {
      const packet = innerPacket('10.0.0.5', '10.0.0.9', { length, mark: length & 0xff })
      await sender.injectPackets(packet)
      while (receiver.plane.blocks.get(0, 'rxMessages') < sender.plane.blocks.get(0, 'txMessages')) {
        await receiver.pass(0)
      }
      expect(await receiver.takePackets()).toEqual([packet])
    }
  })

  test('says what carries packets', async () => {
    const plain = await opened({ hasOffloads: false, threads: 2, aead: 'scalar' })
    expect(plain.plane.describe()).toBe('native, scalar, 2 threads each way, no offloads')
    const full = await opened(ONE_WAY)
    expect(full.plane.describe()).toMatch(/^native, \w+, 1 thread each way, TSO USO GSO GRO$/)
  })

  test('threads and descriptors end with it', async () => {
    const before = [threadCount(), fdCount()]
    const harness = await createNativeHarness({ hasOffloads: true, threads: 3 })
    expect(threadCount()).toBe((before[0] as number) + 6)
    await harness.stop()
    // Handles close a turn of the loop later.
    for (let i = 0; i < 100 && fdCount() !== before[1]; i++) await harness.pass(1)
    expect([threadCount(), fdCount()]).toEqual(before)
  })
})

const REASONS = nativePlaneSource().layout.dropReasons

test.each([
  ['maxStagedPackets', { maxStagedPackets: 7 }],
  ['dropReasons', { dropReasons: `${REASONS} another` }],
  ['dropReasons', { dropReasons: REASONS.split(' ').reverse().join(' ') }],
])('an addon of other sources is refused by what differs: %s', (name, changed) => {
  const real = nativePlaneSource()
  const source = { ...real, layout: { ...real.layout, ...changed } }
  const attempt = (): unknown =>
    createNativeDataPlane({
      source,
      innerFd: 0,
      hasHeaders: true,
      hasOffloads: true,
      aead: '',
      threads: 1,
      capacity: 1,
      mtu: 1420,
      listener: () => undefined,
    })
  expect(attempt).toThrow(AppError)
  expect(attempt).toThrow(`${name} differs`)
})

/** A peer in slot 0 of `harness` that is `other`, with everything allowed that the tests send. */
function meet(harness: NativeHarness, other: NativeHarness): void {
  addPeers(harness, 0)
  harness.plane.setPath(0, {
    socket: harness.v4.socket,
    remote: { address: other.v4.locals[0], port: other.v4.port, scopeId: 0 },
    local: undefined,
  })
  harness.plane.installKeypair(0, {
    localIndex: 5,
    remoteIndex: 5,
    sendKey: new Uint8Array(32).fill(9),
    receiveKey: new Uint8Array(32).fill(9),
    isInitiator: true,
    createdAtMs: harness.nowMs(),
  })
}

function threadCount(): number {
  return readdirSync('/proc/self/task').length
}

function fdCount(): number {
  return readdirSync('/proc/self/fd').length
}
