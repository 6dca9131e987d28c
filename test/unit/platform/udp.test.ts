import { afterEach, describe, expect, it } from 'vitest'
import { PlatformError } from '../../../src/base/errors.js'
import type { DatagramHeaders, OuterPort, Slab } from '../../../src/dataplane/ports.js'
import { type IpAddress, tryParseIp } from '../../../src/net/ip.js'
import { openUdp } from '../../../src/platform/udp.js'

const SLOTS = 8
const TOS = 0x8a // AF41 and ECT(0)

function ip(text: string): IpAddress {
  const address = tryParseIp(text)
  if (address === undefined) throw new Error(`${text} is no address`)
  return address
}

function makeBatch(): { slab: Slab; headers: DatagramHeaders } {
  const stride = 2048
  return {
    slab: {
      bytes: new Uint8Array(SLOTS * stride),
      stride,
      slots: SLOTS,
      headroom: 16,
      lengths: new Uint32Array(SLOTS),
    },
    headers: {
      remote: new Uint8Array(16 * SLOTS),
      remotePort: new Uint16Array(SLOTS),
      remoteScope: new Uint32Array(SLOTS),
      local: new Uint8Array(16 * SLOTS),
      tos: new Uint8Array(SLOTS),
    },
  }
}

function setDatagram(
  batch: ReturnType<typeof makeBatch>,
  slot: number,
  to: { address: IpAddress; port: number },
): void {
  const { slab, headers } = batch
  const text = new TextEncoder().encode(`datagram ${slot}`)
  slab.bytes.set(text, slot * slab.stride + slab.headroom)
  slab.lengths[slot] = text.length
  headers.remote.set(to.address.bytes, 16 * slot)
  headers.remotePort[slot] = to.port
  headers.tos[slot] = TOS
}

function textOf(slab: Slab, slot: number): string {
  const start = slot * slab.stride + slab.headroom
  return new TextDecoder().decode(slab.bytes.subarray(start, start + (slab.lengths[slot] ?? 0)))
}

function readable(port: OuterPort): Promise<void> {
  return new Promise((resolve) => {
    port.onReadable = () => {
      port.onReadable = undefined
      resolve()
    }
  })
}

const opened: OuterPort[] = []

function open(family: 4 | 6, port = 0): OuterPort {
  const socket = openUdp({ family, port, mark: 0 })
  opened.push(socket)
  return socket
}

afterEach(() => {
  for (const port of opened.splice(0)) port.close()
})

describe.each([
  { family: 4, loopback: '127.0.0.1' },
  { family: 6, loopback: '::1' },
] as const)('a UDP port of IPv$family', ({ family, loopback }) => {
  it('carries a batch with addresses and TOS', async () => {
    const sender = open(family)
    const receiver = open(family)
    const out = makeBatch()
    for (let slot = 0; slot < SLOTS; slot++) {
      setDatagram(out, slot, { address: ip(loopback), port: receiver.port })
    }
    const waiting = readable(receiver)
    expect(sender.sendBatch(out.slab, out.headers, SLOTS)).toBe(SLOTS)
    await waiting
    const { slab, headers } = makeBatch()
    expect(receiver.receiveBatch(slab, headers)).toBe(SLOTS)
    const size = ip(loopback).bytes.length
    for (let slot = 0; slot < SLOTS; slot++) {
      expect(textOf(slab, slot)).toBe(`datagram ${slot}`)
      expect(headers.remote.subarray(16 * slot, 16 * slot + size)).toEqual(ip(loopback).bytes)
      expect(headers.local.subarray(16 * slot, 16 * slot + size)).toEqual(ip(loopback).bytes)
      expect(headers.remotePort[slot]).toBe(sender.port)
      expect(headers.tos[slot]).toBe(TOS)
    }
    expect(receiver.receiveBatch(slab, headers)).toBe(0)
  })
})

describe('a UDP port', () => {
  it('writes nothing outside the slots it fills', async () => {
    const sender = open(4)
    const receiver = open(4)
    const out = makeBatch()
    setDatagram(out, 0, { address: ip('127.0.0.1'), port: receiver.port })
    const waiting = readable(receiver)
    sender.sendBatch(out.slab, out.headers, 1)
    await waiting
    const { slab, headers } = makeBatch()
    slab.bytes.fill(0xee)
    expect(receiver.receiveBatch(slab, headers)).toBe(1)
    expect(slab.bytes.subarray(0, slab.headroom).every((byte) => byte === 0xee)).toBe(true)
    expect(slab.bytes.subarray(slab.headroom + 'datagram 0'.length).every((byte) => byte === 0xee)).toBe(true)
  })

  it('takes no more slots than the smallest array has', () => {
    const port = open(4)
    const batch = makeBatch()
    const headers = { ...batch.headers, tos: new Uint8Array(2) }
    for (let slot = 0; slot < 2; slot++)
      setDatagram(batch, slot, { address: ip('127.0.0.1'), port: port.port })
    expect(port.sendBatch(batch.slab, headers, SLOTS)).toBe(2)
  })

  it('names the port and gives a hint when another program has it', () => {
    const { port } = open(4)
    const attempt = () => open(4, port)
    expect(attempt).toThrow(PlatformError)
    expect(attempt).toThrow(`cannot open UDP port ${port} on any IPv4 address: EADDRINUSE`)
    expect(attempt).toThrow(
      expect.objectContaining({
        errno: 'EADDRINUSE',
        syscall: 'bind',
        hint: expect.stringContaining('another'),
      }),
    )
  })

  it('leaves the same port of the other family free', () => {
    const { port } = open(4)
    expect(open(6, port).port).toBe(port)
  })

  it('binds to one address', async () => {
    const bound = openUdp({ family: 4, port: 0, mark: 0, address: ip('127.0.0.9') })
    opened.push(bound)
    expect(() => openUdp({ family: 4, port: 0, mark: 0, address: ip('192.0.2.1') })).toThrow('EADDRNOTAVAIL')
  })

  it('frees its port at once on close, and does nothing after it', () => {
    const port = open(4)
    port.close()
    port.close()
    const { slab, headers } = makeBatch()
    expect(port.receiveBatch(slab, headers)).toBe(0)
    expect(port.sendBatch(slab, headers, 1)).toBe(0)
    port.onReadable = () => undefined
    expect(open(4, port.port).port).toBe(port.port)
  })

  it('turns what a handler throws into an uncaught exception of the process, not a crash', async () => {
    const receiver = open(4)
    const batch = makeBatch()
    setDatagram(batch, 0, { address: ip('127.0.0.1'), port: receiver.port })
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const caught = new Promise<unknown>((resolve) => process.once('uncaughtException', resolve))
    receiver.onReadable = () => {
      receiver.onReadable = undefined
      throw new Error('from the handler')
    }
    receiver.sendBatch(batch.slab, batch.headers, 1)
    await expect(caught).resolves.toMatchObject({ message: 'from the handler' })
    for (const listener of listeners) process.on('uncaughtException', listener)
  })
})
