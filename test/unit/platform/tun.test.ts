import { openSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adoptTun, openTun } from '../../../src/platform/tun.js'
import { CompiledRooms, missingForNamespace } from './namespace.js'

it.each(['', 'a b', 'a/b', '..', 'sixteen-bytes-xx', 'a:b'])('refuses the interface name %j', (name) => {
  expect(() => openTun({ name })).toThrow('not an interface name')
})

it('refuses a descriptor that is no TUN', () => {
  // Owned by the port from the call on, which closes it.
  const fd = openSync('/dev/null', 'r+')
  expect(() => adoptTun(fd)).toThrow(`cannot use descriptor ${fd} as a TUN: ENOTTY (TUNGETIFF)`)
})

const title =
  missingForNamespace === undefined ? 'a TUN port' : `a TUN port (skipped: ${missingForNamespace})`

describe.skipIf(missingForNamespace !== undefined)(title, () => {
  let rooms: CompiledRooms
  beforeAll(() => {
    rooms = new CompiledRooms()
  })
  afterAll(() => rooms.remove())

  it('creates an interface with the MTU asked for and removes it on close', () => {
    const seen = rooms.run(`
      const tun = openTun({ name: 'wg%d', mtu: 1380 })
      const link = network.tryFindLink(tun.name)
      const isSameIndex = link.index === tun.linkIndex
      tun.close()
      tun.close()
      report({ link: { ...link, index: 0 }, isSameIndex, after: network.tryFindLink('wg0') ?? 'none', fd: tun.fd })
    `)
    expect(seen).toEqual({
      link: { name: 'wg0', index: 0, mtu: 1380, isUp: false, isTunnel: true, alias: '' },
      isSameIndex: true,
      after: 'none',
      fd: -1,
    })
  })

  it('leaves no interface behind when the MTU is refused', () => {
    const seen = rooms.run(`
      const errno = errnoFrom(() => openTun({ name: 'wg0', mtu: 10 }))
      report({ errno, after: network.tryFindLink('wg0') ?? 'none', fds: fdCount() - fdCount() })
    `)
    expect(seen).toMatchObject({ errno: 'EINVAL', after: 'none' })
  })

  it('knows where its interface is, and what holds there, whoever has its name and index here', () => {
    const seen = rooms.run(`
      const { execFileSync, spawn } = await import('node:child_process')
      const here = (line) => execFileSync('ip', line.split(' '))
      const box = spawn('unshare', ['-n', 'sleep', '60'])
      const nets = () => [process.pid, box.pid].map((pid) => readlinkSync('/proc/' + pid + '/ns/net'))
      while (new Set(nets()).size < 2) await new Promise((resolve) => setTimeout(resolve, 5))
      const [home, other] = nets()
      const inBox = (line) => execFileSync('nsenter', ['-t', String(box.pid), '-n', 'ip', ...line.split(' ')])
      const tun = openTun({ name: 'wg0', mtu: 1380 })
      const before = tun.locate()
      here('link set wg0 netns ' + box.pid)
      here('link add wg0 index ' + before.link.index + ' type veth peer name other')
      here('addr add 192.0.2.9/24 dev wg0')
      inBox('link set wg0 name eth7')
      inBox('link set eth7 mtu 1300')
      inBox('link set eth7 up')
      inBox('addr add 10.77.0.1/24 dev eth7')
      const away = tun.locate()
      const addresses = tun.addresses().filter(({ address }) => address.family === 4)
      inBox('link set eth7 netns ' + process.pid)
      const back = tun.locate()
      const isSameIndex = back.link.index === tun.linkIndex
      here('link del eth7')
      report({
        before: [before.namespace === home, before.isAway, before.link.mtu],
        away: [away.namespace === other, away.isAway, away.link.name, away.link.mtu, away.link.isUp],
        addresses: addresses.map(({ address, bits }) => [...address.bytes, bits]),
        back: [back.namespace === home, back.isAway, back.link.name, back.link.index === before.link.index],
        isSameIndex,
        gone: tun.locate() ?? 'gone',
      })
      tun.close()
      box.kill()
    `)
    expect(seen).toEqual({
      before: [true, false, 1380],
      away: [true, true, 'eth7', 1300, true],
      addresses: [[10, 77, 0, 1, 24]],
      back: [true, false, 'eth7', false],
      isSameIndex: true,
      gone: 'gone',
    })
  })

  it('says what to do when the name is taken', () => {
    const seen = rooms.run(`
      const tun = openTun({ name: 'wg0' })
      try { openTun({ name: 'wg0' }) } catch (error) {
        report({ message: error.message, hint: error.hint })
      }
      tun.close()
    `)
    expect(seen).toEqual({
      message: 'cannot create interface wg0 from /dev/net/tun: EBUSY (TUNSETIFF)',
      hint: 'another program has wg0 open: stop it or take another name',
    })
  })

  it('reads what the kernel sends and writes what the kernel receives', () => {
    const seen = rooms.run(`
      const tun = openTun({ name: 'wg0' })
      network.addAddress(tun.linkIndex, prefix('192.0.2.1/24'))
      network.setLinkUp(tun.linkIndex, true)
      const socket = openUdp({ family: 4, port: 0, mark: 0 })
      const out = makeSlab(), outHeaders = makeHeaders()
      out.bytes.set([1, 2, 3], 16)
      out.lengths[0] = 3
      outHeaders.remote.set([192, 0, 2, 2])
      outHeaders.remotePort[0] = socket.port
      const slab = makeSlab()
      const isOurs = (slot) => slab.bytes[slot * slab.stride + 16] === 0x45
      let read = 0
      await new Promise((resolve) => {
        tun.onReadable = () => {
          for (let count; (count = tun.readBatch(slab)) > 0; ) {
            for (let slot = 0; slot < count; slot++) {
              if (!isOurs(slot)) continue
              read = slab.lengths[slot]
              const packet = slab.bytes.slice(slot * slab.stride + 16, slot * slab.stride + 16 + read)
              // Swapped addresses leave both checksums right.
              slab.bytes.set(packet, 16)
              slab.bytes.set(packet.subarray(16, 20), 16 + 12)
              slab.bytes.set(packet.subarray(12, 16), 16 + 16)
              slab.lengths[0] = read
              return resolve()
            }
          }
        }
        socket.sendBatch(out, outHeaders, 1)
      })
      const answered = new Promise((resolve) => (socket.onReadable = resolve))
      const written = tun.writeBatch(slab, 1)
      await answered
      const count = socket.receiveBatch(out, outHeaders)
      report({ read, written, count, from: [...outHeaders.remote.subarray(0, 4)], length: out.lengths[0] })
      tun.close()
      socket.close()
    `)
    expect(seen).toEqual({ read: 31, written: 1, count: 1, from: [192, 0, 2, 2], length: 3 })
  })

  it('tells once when the interface was removed, and does not spin', () => {
    const seen = rooms.run(`
      const tun = openTun({ name: 'wg0' })
      const gone = []
      tun.onReadable = () => tun.readBatch(makeSlab())
      const told = new Promise((resolve) => {
        tun.onGone = (errno) => {
          gone.push(errno)
          resolve()
        }
      })
      network.deleteLink(tun.linkIndex)
      await told
      const before = process.cpuUsage()
      await new Promise((resolve) => setTimeout(resolve, 200))
      const { user, system } = process.cpuUsage(before)
      report({ gone, isIdle: user + system < 100_000, read: tun.readBatch(makeSlab()), written: tun.writeBatch(makeSlab(), 1) })
      tun.close()
    `)
    expect(seen).toEqual({ gone: ['EBADFD'], isIdle: true, read: 0, written: 0 })
  })

  it('is handed to another owner by descriptor', () => {
    const seen = rooms.run(`
      const [left, right] = openFdPair()
      const tun = openTun({ name: 'wg0' })
      sendFd(left, tun.fd)
      tun.close()
      const adopted = adoptTun(receiveFd(right))
      const { name } = adopted
      const isThere = network.tryFindLink('wg0') !== undefined
      const fds = fdCount()
      const errno = errnoFrom(() => adoptTun(left))
      adopted.close()
      report({ name, isThere, errno, closedOnFailure: fds - fdCount(), after: network.tryFindLink('wg0') ?? 'none' })
    `)
    // Two less: the descriptor that was no TUN, and the TUN itself.
    expect(seen).toEqual({ name: 'wg0', isThere: true, errno: 'ENOTTY', closedOnFailure: 2, after: 'none' })
  })
})
