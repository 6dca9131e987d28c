/**
 * The native data plane over the real kernel, as the compliance suite wants it: UDP sockets on loopback,
 * and one end of a socket pair as its inner interface. Needs a network namespace of its own, whose loopback
 * gets the addresses below: see in-namespace.ts.
 */

import { closeSync, readSync, writeSync } from 'node:fs'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { concatBytes } from '../../src/base/bytes.js'
import type { DataPlane, DataPlaneEvent } from '../../src/dataplane/contract.js'
import {
  createNativeDataPlane,
  type NativePlaneSource,
} from '../../src/dataplane/native/native-data-plane.js'
import type { NativePlane } from '../../src/dataplane/native/native-plane.js'
import { createDatagramHeaders, slabOfOne } from '../../src/dataplane/portable/slabs.js'
import type { OuterPort } from '../../src/dataplane/ports.js'
import type { Endpoint } from '../../src/net/endpoint.js'
import { type IpAddress, ipFromBytes } from '../../src/net/ip.js'
import { bootNowMs } from '../../src/platform/clock.js'
import { openFdPair } from '../../src/platform/fd-passing.js'
import { addAddress, setLinkUp } from '../../src/platform/network.js'
import { nativePlaneSource } from '../../src/platform/plane.js'
import { openUdp } from '../../src/platform/udp.js'
import type { DataPlaneHarness, HarnessSocket } from './data-plane-harness.js'
import { ip } from './inner-packets.js'
import { splitSuperPacket, VIRTIO_HEADER_BYTES } from './virtio.js'

export interface NativeHarnessOptions {
  readonly hasOffloads: boolean
  readonly threads: number
  /** Kernel of the AEAD; the fastest if absent. */
  readonly aead?: string
  readonly capacity?: number
}

export interface NativeHarness extends DataPlaneHarness {
  readonly native: NativePlane
  /** The test's end of the inner interface. */
  readonly innerFd: number
  /** What came out of the inner interface, header and all. */
  takeRaw(): Promise<readonly Uint8Array[]>
  /** A packet with its virtio header. */
  injectRaw(...messages: readonly Uint8Array[]): Promise<void>
}

const LOOPBACK = 1
const LOCALS = {
  4: [ip('127.0.0.1'), ip('127.0.0.2')],
  6: [ip('2001:db8::1'), ip('2001:db8::2')],
} as const
const REMOTES = {
  4: [ip('127.0.1.7'), ip('127.0.2.9')],
  6: [ip('2001:db8:1::7'), ip('2001:db8:2::9')],
} as const
const MAX_BYTES = 65_600
/** 5 ms apart. */
const MAX_ATTEMPTS = 1000
const NOWHERE = new Uint8Array(16)

/** Once per namespace. */
export function prepareNamespace(): void {
  setLinkUp(LOOPBACK, true)
  const addresses = [...LOCALS[6], ...REMOTES[6]]
  for (const address of addresses) addAddress(LOOPBACK, { address, bits: 128 })
  for (const address of addresses) untilUsable(address)
}

/** A worker of the kernel takes an address of IPv6 into use, on a busy machine a while later. */
function untilUsable(address: IpAddress): void {
  const sleep = new Int32Array(new SharedArrayBuffer(4))
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    try {
      openUdp({ family: 6, port: 0, mark: 0, address }).close()
      return
    } catch {
      Atomics.wait(sleep, 0, 0, 5)
    }
  }
}

export async function createNativeHarness(options: NativeHarnessOptions): Promise<NativeHarness> {
  const { hasOffloads, threads, aead = '', capacity = 4 } = options
  const [inner, planeFd] = openFdPair()
  let events: DataPlaneEvent[] = []
  const kept = keepingNative()
  const plane = createNativeDataPlane({
    source: kept.source,
    innerFd: planeFd,
    hasHeaders: hasOffloads,
    hasOffloads,
    aead,
    threads,
    capacity,
    mtu: 1420,
    listener: (batch) => events.push(...batch),
  })
  const native = kept.native()
  const v4 = openSide(plane, 4)
  const v6 = openSide(plane, 6)
  const sides = [v4, v6]
  const headerBytes = hasOffloads ? VIRTIO_HEADER_BYTES : 0

  /** Everything that has come in was dealt with, and its events were delivered. */
  const settle = async (): Promise<void> => {
    while (!native.isIdle()) await setImmediate()
    for (let i = 0; i < 3; i++) await setImmediate()
  }
  const takeRaw = async (): Promise<readonly Uint8Array[]> => {
    await settle()
    return readAll(inner)
  }
  const injectRaw = async (...messages: readonly Uint8Array[]): Promise<void> => {
    for (const message of messages) await writePatiently(inner, message)
    await settle()
  }
  return {
    plane,
    native,
    innerFd: inner,
    v4: v4.socket,
    v6: v6.socket,
    nowMs: bootNowMs,
    // Timers may be early by less than one.
    pass: async (ms) => await setTimeout(ms + 1),
    takeRaw,
    injectRaw,
    injectPackets: async (...packets) =>
      await injectRaw(...packets.map((packet) => concatBytes(new Uint8Array(headerBytes), packet))),
    takePackets: async () => {
      const raw = await takeRaw()
      return hasOffloads ? raw.flatMap(splitSuperPacket) : raw
    },
    injectDatagrams: async (datagrams) => {
      for (const { from, bytes, tos = 0, to } of datagrams) {
        sideOf(sides, from).send(from, to, bytes, tos)
      }
      await settle()
    },
    takeDatagrams: async () => {
      await settle()
      return sides.flatMap((side) => side.takeReceived())
    },
    takeEvents: async () => {
      await settle()
      const taken = events
      events = []
      return taken
    },
    stop: async () => {
      await plane.stop()
      for (const side of sides) side.close()
      closeSync(inner)
      closeSync(planeFd)
    },
  }
}

/** A source that remembers the plane it opened. */
function keepingNative(): { readonly source: NativePlaneSource; native(): NativePlane } {
  const real = nativePlaneSource()
  let opened: NativePlane | undefined
  return {
    source: {
      ...real,
      open: (options, onReady) => {
        opened = real.open(options, onReady)
        return opened
      },
    },
    native: () => {
      if (opened === undefined) throw new Error('no plane was opened')
      return opened
    },
  }
}

function readAll(fd: number): Uint8Array[] {
  const messages: Uint8Array[] = []
  const buffer = new Uint8Array(MAX_BYTES)
  for (;;) {
    try {
      messages.push(buffer.slice(0, readSync(fd, buffer)))
    } catch (error) {
      if (isAgain(error)) return messages
      throw error
    }
  }
}

/** The other end takes what is there meanwhile. */
async function writePatiently(fd: number, message: Uint8Array): Promise<void> {
  for (;;) {
    try {
      writeSync(fd, message)
      return
    } catch (error) {
      if (!isAgain(error)) throw error
      await setImmediate()
    }
  }
}

function isAgain(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN'
}

interface ReceivedDatagram {
  readonly from: Endpoint
  readonly to: Endpoint
  readonly tos: number
  readonly bytes: Uint8Array
}

/** One socket of the plane, and those of the remotes that talk to it. */
interface Side {
  readonly socket: HarnessSocket
  send(from: Endpoint, to: IpAddress | undefined, bytes: Uint8Array, tos: number): void
  takeReceived(): ReceivedDatagram[]
  close(): void
}

function openSide(plane: DataPlane, family: 4 | 6): Side {
  const opened = plane.openSocket({ family, port: 0, mark: 0 })
  const [first, second] = REMOTES[family]
  const ports = [first, second, first].map((address) => openUdp({ family, port: 0, mark: 0, address }))
  const remotes = ports.map(({ port }, i) => ({ address: i === 1 ? second : first, port, scopeId: 0 }))
  const socket: HarnessSocket = {
    ...opened,
    locals: LOCALS[family],
    remotes: remotes as unknown as HarnessSocket['remotes'],
  }
  return {
    socket,
    send: (from, to = socket.locals[0], bytes, tos) => {
      const index = remotes.findIndex(
        (one) => one.port === from.port && Buffer.compare(one.address.bytes, from.address.bytes) === 0,
      )
      const headers = createDatagramHeaders(1)
      headers.remote.set(to.bytes)
      headers.remotePort[0] = socket.port
      headers.tos[0] = tos
      const sent = ports[index]?.sendBatch(slabOfOne(bytes), headers, 1)
      if (sent !== 1) throw new Error(`a datagram of ${bytes.length} bytes was not sent`)
    },
    takeReceived: () => ports.flatMap((port, i) => receiveAll(port, remotes[i] as Endpoint)),
    close: () => {
      for (const port of ports) port.close()
    },
  }
}

function receiveAll(port: OuterPort, to: Endpoint): ReceivedDatagram[] {
  const received: ReceivedDatagram[] = []
  const headers = createDatagramHeaders(1)
  const width = port.family === 4 ? 4 : 16
  for (;;) {
    const slab = slabOfOne(new Uint8Array(MAX_BYTES))
    headers.remote.set(NOWHERE)
    if (port.receiveBatch(slab, headers) === 0) return received
    received.push({
      from: {
        address: ipFromBytes(headers.remote.subarray(0, width)),
        port: headers.remotePort[0] as number,
        scopeId: headers.remoteScope[0] as number,
      },
      to,
      tos: headers.tos[0] as number,
      bytes: slab.bytes.slice(0, slab.lengths[0]),
    })
  }
}

function sideOf(sides: readonly Side[], from: Endpoint): Side {
  const side = sides.find(({ socket }) => socket.remotes[0].address.family === from.address.family)
  if (side === undefined) throw new Error('no side of that family')
  return side
}
