/** Inner IP packets for tests: whole headers, right lengths and checksums, a payload that can be told apart. */

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

/** The header checksum (RFC 791) as it should be, whatever stands in the field. */
export function ipv4Checksum(packet: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < 20; i += 2) {
    if (i !== 10) sum += ((packet[i] as number) << 8) | (packet[i + 1] as number)
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  return ~sum & 0xffff
}
