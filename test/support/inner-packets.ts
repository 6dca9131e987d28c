/** Inner IP packets for tests: whole headers, right lengths and checksums, a payload that can be told apart. */

import { concatBytes } from '../../src/base/bytes.js'
import { type IpAddress, tryParseIp } from '../../src/net/ip.js'

export interface InnerPacketOptions {
  /** Whole packet. */
  readonly length?: number
  /** Type of service or traffic class byte. */
  readonly tos?: number
  /** First payload byte; the next ones count up from it. */
  readonly mark?: number
}

const UDP = 17

export function ip(text: string): IpAddress {
  const address = tryParseIp(text)
  if (address === undefined) throw new Error(`no IP address: ${text}`)
  return address
}

/** A packet of the family of `from`. */
export function innerPacket(from: string, to: string, options: InnerPacketOptions = {}): Uint8Array {
  const source = ip(from)
  const packet = new Uint8Array(options.length ?? 60)
  const view = new DataView(packet.buffer)
  const headerBytes = source.family === 4 ? 20 : 40
  for (let i = headerBytes; i < packet.length; i++) packet[i] = (options.mark ?? 0) + i
  if (source.family === 4) {
    packet.set([0x45, options.tos ?? 0])
    view.setUint16(2, packet.length)
    packet.set([64, UDP], 8)
    packet.set(source.bytes, 12)
    packet.set(ip(to).bytes, 16)
    view.setUint16(10, ipv4Checksum(packet))
    return packet
  }
  view.setUint16(0, 0x6000 | ((options.tos ?? 0) << 4))
  view.setUint16(4, packet.length - headerBytes)
  packet.set([UDP, 64], 6)
  packet.set(source.bytes, 8)
  packet.set(ip(to).bytes, 24)
  return packet
}

/** A UDP datagram from `port` to port 51820. */
export function udpPacket(from: string, to: string, port: number, payload: Uint8Array): Uint8Array {
  const headerBytes = from.includes(':') ? 40 : 20
  const packet = innerPacket(from, to, { length: headerBytes + 8 + payload.length })
  const view = new DataView(packet.buffer, headerBytes)
  view.setUint16(0, port)
  view.setUint16(2, 51_820)
  view.setUint16(4, 8 + payload.length)
  packet.set(payload, headerBytes + 8)
  return packet
}

/** Of an IPv6 packet, with more to follow (RFC 8200 section 4.5). */
export function firstFragment(packet: Uint8Array): Uint8Array {
  const fragment = concatBytes(packet.subarray(0, 40), new Uint8Array(8), packet.subarray(40))
  fragment[40] = fragment[6] as number
  fragment[6] = 44
  fragment[43] = 1
  new DataView(fragment.buffer).setUint16(4, fragment.length - 40)
  return fragment
}

/** The header checksum (RFC 791) as it should be, whatever stands in the field. */
export function ipv4Checksum(packet: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < 20; i += 2) {
    if (i !== 10) sum += ((packet[i] as number) << 8) | (packet[i + 1] as number)
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  return ~sum & 0xffff
}
