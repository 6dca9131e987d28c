/**
 * Inner and outer ports in memory, and the network between them. No clock, no queue of its own: every
 * datagram sent goes to the `onSend` hook of its network, which may deliver it now or never.
 *
 * INVARIANT: a port is readable again and again until it was emptied, like a polled descriptor.
 */

import { PlatformError } from '../../src/base/errors.js'
import type { OuterSocketOptions } from '../../src/dataplane/contract.js'
import type { DatagramHeaders, InnerPort, OpenOuterPort, OuterPort, Slab } from '../../src/dataplane/ports.js'
import { type Endpoint, equalEndpoint } from '../../src/net/endpoint.js'
import { equalIp, type IpAddress, ipFromBytes } from '../../src/net/ip.js'

export interface FakeDatagram {
  readonly from: Endpoint
  readonly to: Endpoint
  readonly tos: number
  readonly bytes: Uint8Array
}

export class FakeInnerPort implements InnerPort {
  onReadable: (() => void) | undefined
  onGone: ((errno: string) => void) | undefined
  /** Packets that `writeBatch` takes before it refuses. */
  writeLimit: number = Number.POSITIVE_INFINITY
  readonly #waiting: Uint8Array[] = []
  #written: Uint8Array[] = []

  /** Packets arrive at the interface, to be sent by the data plane. */
  inject(...packets: readonly Uint8Array[]): void {
    this.#waiting.push(...packets)
    while (this.#waiting.length > 0 && this.onReadable !== undefined) this.onReadable()
  }

  /** Packets the data plane has written since the last call. */
  takeWritten(): readonly Uint8Array[] {
    const taken = this.#written
    this.#written = []
    return taken
  }

  readBatch(slab: Slab): number {
    const packets = this.#waiting.splice(0, slab.slots)
    for (const [i, packet] of packets.entries()) fillSlot(slab, i, packet)
    return packets.length
  }

  writeBatch(slab: Slab, count: number): number {
    const taken = Math.min(count, this.writeLimit)
    for (let i = 0; i < taken; i++) this.#written.push(copySlot(slab, i))
    return taken
  }
}

export class FakeOuterPort implements OuterPort {
  readonly family: 4 | 6
  readonly port: number
  readonly address: IpAddress
  mark: number
  onReadable: (() => void) | undefined
  /** Datagrams that `sendBatch` takes of one batch before it refuses. */
  sendLimit: number = Number.POSITIVE_INFINITY
  /** Sizes of the batches sent so far. */
  readonly batchSizes: number[] = []
  readonly #network: FakeNetwork
  readonly #waiting: FakeDatagram[] = []

  /** `options.port` is not 0 here. `address`: the machine's, where a datagram names no source. */
  constructor(network: FakeNetwork, options: OuterSocketOptions, address: IpAddress) {
    this.#network = network
    this.family = options.family
    this.port = options.port
    this.mark = options.mark
    this.address = address
  }

  /** Datagrams arrive at the socket. */
  receive(...datagrams: readonly FakeDatagram[]): void {
    this.#waiting.push(...datagrams)
    while (this.#waiting.length > 0 && this.onReadable !== undefined) this.onReadable()
  }

  receiveBatch(slab: Slab, headers: DatagramHeaders): number {
    const datagrams = this.#waiting.splice(0, slab.slots)
    for (const [i, { from, to, tos, bytes }] of datagrams.entries()) {
      fillSlot(slab, i, bytes)
      headers.remote.fill(0, 16 * i, 16 * i + 16)
      headers.local.fill(0, 16 * i, 16 * i + 16)
      headers.remote.set(from.address.bytes, 16 * i)
      headers.local.set(to.address.bytes, 16 * i)
      headers.remotePort[i] = from.port
      headers.remoteScope[i] = from.scopeId
      headers.tos[i] = tos
    }
    return datagrams.length
  }

  sendBatch(slab: Slab, headers: DatagramHeaders, count: number): number {
    this.batchSizes.push(count)
    const taken = Math.min(count, this.sendLimit)
    for (let i = 0; i < taken; i++) this.#network.send(this.#datagramOf(slab, headers, i))
    return taken
  }

  setMark(mark: number): void {
    this.mark = mark
  }

  close(): void {
    this.#network.forget(this)
  }

  #datagramOf(slab: Slab, headers: DatagramHeaders, i: number): FakeDatagram {
    const end = 16 * i + (this.family === 4 ? 4 : 16)
    const local = headers.local.slice(16 * i, end)
    const address = local.some((byte) => byte !== 0) ? ipFromBytes(local) : this.address
    return {
      from: { address, port: this.port, scopeId: 0 },
      to: {
        address: ipFromBytes(headers.remote.subarray(16 * i, end)),
        port: headers.remotePort[i] as number,
        scopeId: headers.remoteScope[i] as number,
      },
      tos: headers.tos[i] as number,
      bytes: copySlot(slab, i),
    }
  }
}

const FIRST_EPHEMERAL_PORT = 49_152

interface BoundPort {
  readonly port: FakeOuterPort
  readonly addresses: readonly IpAddress[]
}

export class FakeNetwork {
  /** Sees every datagram. May keep it and call `deliver` later, but not before it has returned. */
  onSend: (datagram: FakeDatagram) => void = () => undefined
  #bound: BoundPort[] = []
  #nextPort = FIRST_EPHEMERAL_PORT
  #isSending = false

  /** Opens ports of one machine; the first address of a family is its default source. */
  machine(
    addresses: readonly IpAddress[],
    onOpen: (port: FakeOuterPort) => void = () => undefined,
  ): OpenOuterPort {
    return (options) => {
      const own = addresses.filter((address) => address.family === options.family)
      const chosen = options.port === 0 ? { ...options, port: this.#nextPort++ } : options
      const [first] = own
      if (first === undefined || this.#isTaken(own, chosen)) {
        const errno = first === undefined ? 'EAFNOSUPPORT' : 'EADDRINUSE'
        throw new PlatformError(`cannot bind port ${chosen.port}: ${errno}`, { errno, syscall: 'bind' })
      }
      const port = new FakeOuterPort(this, chosen, options.address ?? first)
      this.#bound.push({ port, addresses: options.address === undefined ? own : [options.address] })
      onOpen(port)
      return port
    }
  }

  /** False if nobody listens there. */
  deliver(datagram: FakeDatagram): boolean {
    if (this.#isSending) throw new Error('deliver after the sender has returned: data planes do not nest')
    const { to } = datagram
    const target = this.#bound.find(({ port, addresses }) =>
      addresses.some((address) => equalEndpoint({ address, port: port.port, scopeId: to.scopeId }, to)),
    )
    target?.port.receive(datagram)
    return target !== undefined
  }

  send(datagram: FakeDatagram): void {
    this.#isSending = true
    this.onSend(datagram)
    this.#isSending = false
  }

  forget(port: FakeOuterPort): void {
    this.#bound = this.#bound.filter((bound) => bound.port !== port)
  }

  #isTaken(own: readonly IpAddress[], options: OuterSocketOptions): boolean {
    return this.#bound.some(
      ({ port, addresses }) =>
        port.port === options.port && addresses.some((a) => own.some((b) => equalIp(a, b))),
    )
  }
}

function fillSlot(slab: Slab, i: number, bytes: Uint8Array): void {
  const room = slab.stride - slab.headroom
  slab.bytes.set(bytes.subarray(0, room), i * slab.stride + slab.headroom)
  slab.lengths[i] = Math.min(bytes.length, room)
}

function copySlot(slab: Slab, i: number): Uint8Array {
  const start = i * slab.stride + slab.headroom
  return slab.bytes.slice(start, start + (slab.lengths[i] as number))
}
