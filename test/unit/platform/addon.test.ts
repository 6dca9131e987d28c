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
  expect(() => Reflect.construct(Udp, [4, 70_000, 0, undefined, () => undefined])).toThrow('EINVAL')
})

it('survives a call on an object of another class, and memory that was given away', () => {
  const { LinkMonitor, Udp } = nativeAddon()
  const monitor = new LinkMonitor(() => undefined, false)
  const udp = new Udp(4, 0, 0, undefined, () => undefined)
  const bytes = new Uint8Array(64)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  expect(() => Reflect.apply(udp.sendBatch, monitor, [])).toThrow('Illegal invocation')
  const headers = [
    new Uint8Array(64),
    new Uint16Array(4),
    new Uint32Array(4),
    new Uint8Array(64),
    new Uint8Array(4),
  ]
  expect(Reflect.apply(udp.receiveBatch, udp, [bytes, 16, 0, new Uint32Array(4), ...headers])).toBe(0)
  expect(Reflect.apply(udp.sendBatch, udp, [bytes, 16, 0, new Uint32Array(4), ...headers, 4])).toBe(0)
  monitor.close()
  udp.close()
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
      for (let round = 0; round < 5; round++) {
        const worker = new Worker(${JSON.stringify(WORKER)}, { eval: true, workerData: { addonPath, isEnding: ${isEnding} } })
        // A worker that ends at once has its message delivered and its end told in one turn.
        const end = once(worker, 'exit')
        const [name] = await once(worker, 'message')
        names.push(name)
        if (${isEnding}) await end
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

  it('changes nothing in the kernel for an argument that lacks a part or is no number', () => {
    const seen = rooms.run(`
      const { default: addon } = await import('node:module').then((it) => ({ default: it.createRequire(import.meta.url)(addonPath) }))
      const all = prefix('0.0.0.0/0')
      const state = () => JSON.stringify([addon.listRules(4), addon.listRules(6), addon.listRoutes(4), addon.findLink(1)])
      const before = state()
      const calls = [
        () => addon.removeRule({}),
        () => addon.removeRule({ family: 6 }),
        () => addon.removeRule({ family: 4, table: NaN }),
        () => addon.removeRule({ family: 5, table: 254 }),
        () => addon.removeRule({ family: 4, table: 254, priority: -1 }),
        () => addon.removeRule({ family: 4, get mark() { throw new Error('from a getter') }, table: 254 }),
        () => addon.addRule({ family: 4, table: 254, mark: 2 ** 32 }),
        () => addon.addRoute({ prefix: { bits: 0 }, linkIndex: 1, table: 254 }, false),
        () => addon.addRoute({ prefix: { ...all, bits: 33 }, linkIndex: 1, table: 254 }, false),
        () => addon.addRoute({ prefix: all, linkIndex: 1.5, table: 254 }, false),
        () => addon.addRoute({ prefix: all, linkIndex: 1, table: 254, gateway: {} }, false),
        () => addon.removeRoute({ prefix: all, table: 254 }),
        () => addon.addAddress(1, { address: { bytes: new Uint8Array(5) }, bits: 8 }),
        () => addon.removeAddress(1, undefined),
        () => addon.listRules('4'),
        () => addon.listRoutes(4, -1),
        () => addon.routeTo(undefined, 0),
      ]
      const results = calls.map((call) => {
        try { return call() ?? 'nothing' } catch (error) { return error.message }
      })
      report({ results: [...new Set(results)], isSame: state() === before })
    `)
    expect(seen).toEqual({ results: ['arguments: EINVAL', 'from a getter'], isSame: true })
  })

  it('closes no descriptor that a number only resembles', () => {
    const seen = rooms.run(`
      const errnos = [NaN, -1, 2 ** 32, 0.5].map((fd) => errnoFrom(() => adoptTun(fd)))
      report({ errnos, hasInput: existsSync('/proc/self/fd/0') })
    `)
    expect(seen).toEqual({ errnos: ['EBADF', 'EBADF', 'EBADF', 'EBADF'], hasInput: true })
  })

  // Each worker asks the kernel without pause, so terminate() strikes while values are converted.
  const ASKING_WORKER = `
    const { parentPort, workerData } = require('node:worker_threads')
    const addon = require(workerData.addonPath)
    for (let rounds = 0; ; rounds++) {
      addon.listLinks()
      addon.listRules(4)
      addon.routeTo({ bytes: new Uint8Array([127, 0, 0, 1]) }, 0)
      try {
        addon.removeRule({ family: 6, mark: 1, invert: true, table: 9 })
      } catch {}
      if (rounds === 2) parentPort.postMessage('busy')
    }
  `

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

  it.each([
    { what: 'datagrams', code: BUSY_WORKER },
    { what: 'questions to the kernel', code: ASKING_WORKER },
  ])('survives the termination of workers that are busy with $what', ({ code }) => {
    const seen = rooms.run(`
      const rules = JSON.stringify(network.listRules(6))
      let ended = 0
      for (let round = 0; round < 4; round++) {
        const workers = Array.from({ length: 4 }, () =>
          new Worker(${JSON.stringify(code)}, { eval: true, workerData: { addonPath } }))
        await Promise.all(workers.map((worker) => once(worker, 'message')))
        await Promise.all(workers.map((worker) => worker.terminate()))
        ended += workers.length
      }
      report({ ended, areRulesSame: JSON.stringify(network.listRules(6)) === rules })
    `)
    expect(seen).toEqual({ ended: 16, areRulesSame: true })
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
