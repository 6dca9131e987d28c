import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nativeAddon } from '../../../src/platform/addon.js'
import { CompiledRooms, missingForNamespace } from './namespace.js'

it('loads once', () => {
  expect(nativeAddon()).toBe(nativeAddon())
})

it('survives arguments of the wrong type', () => {
  const { Udp, findLink } = nativeAddon()
  const udp = new Udp(4, 0, 0, undefined, () => undefined)
  expect(Reflect.apply(udp.receiveBatch, udp, [])).toBe(0)
  expect(Reflect.apply(udp.sendBatch, udp, ['x', -1, {}, new Uint8Array(3), 0, 0, 0, 0, 0, 9])).toBe(0)
  const slab = [new Uint8Array(64), 0, 0, new Uint32Array(4)]
  expect(Reflect.apply(udp.receiveBatch, udp, slab)).toBe(0)
  udp.close()
  expect(Reflect.apply(findLink, undefined, [{}])).toBeUndefined()
  expect(() => Reflect.construct(Udp, [])).toThrow('EINVAL')
})

const title = missingForNamespace === undefined ? 'the addon' : `the addon (skipped: ${missingForNamespace})`

describe.skipIf(missingForNamespace !== undefined)(title, () => {
  let rooms: CompiledRooms
  beforeAll(() => {
    rooms = new CompiledRooms()
  })
  afterAll(() => rooms.remove())

  it('lets a process end by itself once all is closed', () => {
    const seen = rooms.run(`
      const fds = fdCount()
      const tun = openTun({ name: 'wg0' })
      const udp = openUdp({ family: 6, port: 0, mark: 0 })
      const watch = watchLinks(() => undefined)
      tun.onReadable = () => undefined
      udp.onReadable = () => undefined
      tun.close()
      udp.close()
      watch.stop()
      report(fdCount() - fds)
    `)
    // The event loop's own descriptors may have come meanwhile; ours may not have stayed.
    expect(seen).toBe(0)
  })

  const WORKER = `
    const { parentPort, workerData } = require('node:worker_threads')
    const addon = require(workerData.addonPath)
    const tun = new addon.Tun('wk%d', () => undefined)
    tun.setWatching(true)
    const udp = new addon.Udp(4, 0, 0, undefined, () => undefined)
    udp.setWatching(true)
    new addon.LinkMonitor(() => undefined)
    parentPort.postMessage(tun.name())
    if (workerData.isEnding) process.exit(0)
  `

  it.each([
    { how: 'terminated', isEnding: false },
    { how: 'ending by itself', isEnding: true },
  ])('leaves nothing behind in a worker $how without close', ({ isEnding }) => {
    const seen = rooms.run(`
      const counts = []
      const names = []
      for (let round = 0; round < 10; round++) {
        const worker = new Worker(${JSON.stringify(WORKER)}, { eval: true, workerData: { addonPath, isEnding: ${isEnding} } })
        const [name] = await once(worker, 'message')
        names.push(name)
        if (${isEnding}) await once(worker, 'exit')
        else await worker.terminate()
        counts.push(fdCount())
      }
      report({ growth: counts.at(-1) - counts[0], names: [...new Set(names)], left: network.tryFindLink('wk0') ?? 'none' })
    `)
    expect(seen).toEqual({ growth: 0, names: ['wk0'], left: 'none' })
  })

  it('serves several workers at once', () => {
    const seen = rooms.run(`
      const workers = Array.from({ length: 4 }, () =>
        new Worker(${JSON.stringify(WORKER)}, { eval: true, workerData: { addonPath, isEnding: false } }))
      const names = (await Promise.all(workers.map((worker) => once(worker, 'message')))).map(([name]) => name)
      await Promise.all(workers.map((worker) => worker.terminate()))
      report(names.sort())
    `)
    expect(seen).toEqual(['wk0', 'wk1', 'wk2', 'wk3'])
  })

  // Each worker sends itself datagrams without pause, so terminate() strikes in the middle of a call.
  const BUSY_WORKER = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { Udp } = require(workerData.addonPath)
    const slots = 16
    const datagrams = [
      new Uint8Array(slots * 128), 128, 16, new Uint32Array(slots).fill(100),
      new Uint8Array(slots * 16), new Uint16Array(slots), new Uint32Array(slots),
      new Uint8Array(slots * 16), new Uint8Array(slots),
    ]
    let rounds = 0
    const udp = new Udp(4, 0, 0, undefined, () => {
      while (udp.receiveBatch(...datagrams) > 0) rounds++
      send()
      if (rounds === 10) parentPort.postMessage('busy')
    })
    function send() {
      for (let slot = 0; slot < slots; slot++) {
        datagrams[3][slot] = 100
        datagrams[4].set([127, 0, 0, 1], 16 * slot)
        datagrams[5][slot] = udp.port()
      }
      udp.sendBatch(...datagrams, slots)
    }
    udp.setWatching(true)
    send()
  `

  it('survives the termination of workers that are busy with it', () => {
    const seen = rooms.run(`
      let ended = 0
      for (let round = 0; round < 8; round++) {
        const workers = Array.from({ length: 4 }, () =>
          new Worker(${JSON.stringify(BUSY_WORKER)}, { eval: true, workerData: { addonPath } }))
        await Promise.all(workers.map((worker) => once(worker, 'message')))
        await Promise.all(workers.map((worker) => worker.terminate()))
        ended += workers.length
      }
      report(ended)
    `)
    expect(seen).toBe(32)
  })

  it('keeps working when an open port is forgotten and memory is collected', () => {
    const seen = rooms.run(`
      const { setFlagsFromString } = await import('node:v8')
      const { runInNewContext } = await import('node:vm')
      setFlagsFromString('--expose-gc')
      const collect = runInNewContext('gc')
      const receiver = openUdp({ family: 4, port: 0, mark: 0 })
      const { port } = receiver
      const received = new Promise((resolve) => {
        receiver.onReadable = () => {
          receiver.onReadable = undefined
          resolve(receiver.receiveBatch(makeSlab(), makeHeaders()))
        }
      })
      ;(() => { for (let i = 0; i < 20; i++) openUdp({ family: 4, port: 0, mark: 0 }).close() })()
      for (let i = 0; i < 5; i++) { collect(); await new Promise(setImmediate) }
      const sender = openUdp({ family: 4, port: 0, mark: 0 })
      const slab = makeSlab(), headers = makeHeaders()
      headers.remote.set([127, 0, 0, 1])
      headers.remotePort[0] = port
      slab.lengths[0] = 1
      sender.sendBatch(slab, headers, 1)
      report(await received)
      sender.close()
      receiver.close()
    `)
    expect(seen).toBe(1)
  })
})
