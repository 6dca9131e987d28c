/**
 * Random mixes of inner traffic, the same in every run: flows of TCP and UDP as senders cut them,
 * super-packets as a TUN with offloads hands them over, and everything odd between: flags, options,
 * fragments, extension headers, wrong checksums and lengths, garbage.
 */

import { concatBytes } from '../../src/base/bytes.js'
import { ip } from './inner-packets.js'
import { seededRandom } from './seeded-random.js'
import {
  GSO_TCP_V4,
  GSO_TCP_V6,
  GSO_UDP,
  pseudoHeaderSum,
  sumOf,
  transportChecksum,
  virtioHeader,
} from './virtio.js'

const TCP = 6
const UDP = 17
const ICMP = 1
const ACK = 0x10
const PSH = 0x08
const DONT_FRAGMENT = 0x4000

export interface MixOptions {
  readonly seed: number
  /** Addresses to draw from: prefixes of the peers, and some that are nobody's. */
  readonly sources: readonly string[]
  readonly destinations: readonly string[]
  readonly maxBytes: number
}

interface Flow {
  readonly version: 4 | 6
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly protocol: number
  readonly ports: readonly [number, number]
  readonly tos: number
  readonly options: Uint8Array
  readonly hasDontFragment: boolean
  sequence: number
  identification: number
}

export class PacketMix {
  readonly #bytes: (length: number) => Uint8Array
  readonly #options: MixOptions
  readonly #flows: Flow[]

  constructor(options: MixOptions) {
    this.#bytes = seededRandom(options.seed)
    this.#options = options
    this.#flows = Array.from({ length: 12 }, () => this.#flow())
  }

  below(limit: number): number {
    return new DataView(this.#bytes(4).buffer).getUint32(0) % limit
  }

  /** Packets as they travel, without a header of the interface. */
  packets(count: number): Uint8Array[] {
    const packets: Uint8Array[] = []
    while (packets.length < count) packets.push(...this.#some())
    return packets
  }

  /** Messages of an interface with offloads: header and packet or super-packet. */
  messages(count: number): Uint8Array[] {
    return Array.from({ length: count }, () => {
      if (this.below(2) === 0) return this.#superPacket()
      const packet = this.#some()[0] as Uint8Array
      return concatBytes(virtioHeader({}), packet)
    })
  }

  #some(): Uint8Array[] {
    switch (this.below(8)) {
      case 0:
        return [this.#odd()]
      case 1:
        return [this.#fragment()]
      case 2:
        return [this.#plain(ICMP, this.#bytes(8 + this.below(200)))]
      default:
        return this.#run()
    }
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T
  }

  #flow(): Flow {
    const source = ip(this.#pick(this.#options.sources))
    const matching = this.#options.destinations.filter((text) => text.includes(':') === (source.family === 6))
    const optionWords = this.#pick([0, 0, 3, 1, 10])
    return {
      version: source.family,
      source: source.bytes,
      destination: ip(this.#pick(matching)).bytes,
      protocol: this.#pick([TCP, TCP, UDP]),
      ports: [this.below(65_536), this.below(65_536)],
      tos: this.#pick([0, 0, 1, 2, 3, 0xb8]),
      options: this.#bytes(4 * optionWords),
      hasDontFragment: this.below(2) === 0,
      sequence: this.below(2 ** 31) * 2,
      identification: this.below(65_536),
    }
  }

  /** Some packets of one flow, mostly as segmentation leaves them. */
  #run(): Uint8Array[] {
    const flow = this.#pick(this.#flows)
    const size = this.#pick([1, 64, 536, 1380, 1400 - this.below(100)])
    const count = 1 + this.below(20)
    return Array.from({ length: count }, (_, i) => {
      const isLast = i + 1 === count
      const payload = this.#bytes(isLast ? 1 + this.below(size) : size)
      const isOdd = this.below(15) === 0
      const usual = isLast && this.below(2) === 0 ? ACK | PSH : ACK
      const packet = this.#segment(flow, payload, isOdd ? this.below(256) : usual)
      return this.below(20) === 0 ? this.#damaged(packet) : packet
    })
  }

  #segment(flow: Flow, payload: Uint8Array, flags: number): Uint8Array {
    const headerBytes = ipBytes(flow)
    const transport = flow.protocol === TCP ? this.#tcpHeader(flow, flags) : udpHeader(flow, payload.length)
    const packet = this.#withIp(flow, flow.protocol, concatBytes(transport, payload))
    const field = headerBytes + (flow.protocol === TCP ? 16 : 6)
    const view = new DataView(packet.buffer)
    view.setUint16(field, 0)
    view.setUint16(field, transportChecksum(packet, headerBytes, flow.protocol))
    flow.sequence = (flow.sequence + payload.length) >>> 0
    return packet
  }

  #tcpHeader(flow: Flow, flags: number): Uint8Array {
    const header = new Uint8Array(20 + flow.options.length)
    const view = new DataView(header.buffer)
    view.setUint16(0, flow.ports[0])
    view.setUint16(2, flow.ports[1])
    view.setUint32(4, flow.sequence)
    view.setUint32(8, 0x1234_5678)
    header[12] = (header.length / 4) << 4
    header[13] = flags
    view.setUint16(14, 502)
    header.set(flow.options, 20)
    return header
  }

  #withIp(flow: Flow, protocol: number, body: Uint8Array): Uint8Array {
    const header = new Uint8Array(ipBytes(flow))
    const view = new DataView(header.buffer)
    const id = flow.identification
    flow.identification = (flow.identification + 1) & 0xffff
    if (flow.version === 4) {
      header.set([0x45, flow.tos])
      view.setUint16(2, header.length + body.length)
      view.setUint16(4, id)
      view.setUint16(6, flow.hasDontFragment ? DONT_FRAGMENT : 0)
      header.set([64, protocol], 8)
      header.set(flow.source, 12)
      header.set(flow.destination, 16)
      view.setUint16(10, ~sumOf(header) & 0xffff)
    } else {
      view.setUint32(0, 0x6000_0000 | (flow.tos << 20) | 0x1_2345)
      view.setUint16(4, body.length)
      header.set([protocol, 64], 6)
      header.set(flow.source, 8)
      header.set(flow.destination, 24)
    }
    return concatBytes(header, body)
  }

  #plain(protocol: number, body: Uint8Array): Uint8Array {
    return this.#withIp(this.#pick(this.#flows), protocol, body)
  }

  #fragment(): Uint8Array {
    const flow = this.#pick(this.#flows)
    if (flow.version === 6) {
      const extension = concatBytes(Uint8Array.of(flow.protocol, 0, 0, 1, 0, 0, 0, 7), this.#bytes(40))
      return this.#withIp(flow, this.#pick([44, 0, 60]), extension)
    }
    const packet = this.#withIp(flow, flow.protocol, this.#bytes(40 + this.below(400)))
    const view = new DataView(packet.buffer)
    view.setUint16(6, this.#pick([0x2000, 0x2010, 0x0010, 0x8000]))
    view.setUint16(10, 0)
    view.setUint16(10, ~sumOf(packet.subarray(0, 20)) & 0xffff)
    return packet
  }

  /** One bit or one field is not as it should be. */
  #damaged(packet: Uint8Array): Uint8Array {
    const damaged = packet.slice()
    const at = this.below(Math.min(damaged.length, 60))
    damaged[at] = (damaged[at] as number) ^ (1 << this.below(8))
    return damaged
  }

  #odd(): Uint8Array {
    const flow = this.#pick(this.#flows)
    switch (this.below(5)) {
      case 0:
        return this.#bytes(1 + this.below(100))
      case 1:
        return this.#withIp(flow, UDP, this.#bytes(this.below(this.#options.maxBytes - 40)))
      case 2:
        // Cut short, or with bytes behind its end.
        return this.#plain(TCP, this.#bytes(60)).subarray(0, 1 + this.below(80))
      case 3:
        return concatBytes(this.#plain(UDP, this.#bytes(30)), this.#bytes(1 + this.below(40)))
      default: {
        // IPv4 options, or a header length below the least.
        const packet = this.#plain(TCP, this.#bytes(80))
        packet[0] = 0x40 | this.below(16)
        return packet
      }
    }
  }

  #superPacket(): Uint8Array {
    const flow = this.#pick(this.#flows)
    const segmentBytes = this.#pick([100, 536, 1380, 1440])
    const headerBytes = ipBytes(flow)
    const room = Math.min(this.#options.maxBytes, 65_535) - headerBytes - 60
    const payload = this.#bytes(Math.min(room, segmentBytes + this.below(segmentBytes * 30)))
    const flags = ACK | this.#pick([0, PSH, PSH | 1, 0x80, 0x40])
    const transport = flow.protocol === TCP ? this.#tcpHeader(flow, flags) : udpHeader(flow, payload.length)
    const packet = this.#withIp(flow, flow.protocol, concatBytes(transport, payload))
    flow.sequence = (flow.sequence + payload.length) >>> 0
    const checksumOffset = flow.protocol === TCP ? 16 : 6
    const sum = pseudoHeaderSum(packet, headerBytes, flow.protocol)
    new DataView(packet.buffer).setUint16(headerBytes + checksumOffset, sum)
    const type = flow.protocol === UDP ? GSO_UDP : flow.version === 4 ? GSO_TCP_V4 : GSO_TCP_V6
    // One in four is an ordinary packet that only lacks its checksum.
    const isWhole = this.below(4) === 0
    const header = virtioHeader({
      flags: 1,
      ...(!isWhole && { type, segmentBytes, headerBytes: headerBytes + transport.length }),
      checksumStart: headerBytes,
      checksumOffset,
    })
    return concatBytes(header, packet)
  }
}

function ipBytes(flow: Flow): number {
  return flow.version === 4 ? 20 : 40
}

function udpHeader(flow: Flow, payloadBytes: number): Uint8Array {
  const header = new Uint8Array(8)
  const view = new DataView(header.buffer)
  view.setUint16(0, flow.ports[0])
  view.setUint16(2, flow.ports[1])
  view.setUint16(4, 8 + payloadBytes)
  return header
}
