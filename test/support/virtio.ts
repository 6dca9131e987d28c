/**
 * What a kernel does with super-packets of a TUN with offloads, written as plainly as it can be: the oracle
 * for the data plane's own splitting, and the way back for what it has merged.
 *
 * Header of 10 bytes in the machine's order, here little-endian: flags 1, type 1, header bytes 2, segment
 * bytes 2, checksum start 2, checksum offset 2.
 */

import { concatBytes } from '../../src/base/bytes.js'

export const VIRTIO_HEADER_BYTES = 10

const GSO_NONE = 0
export const GSO_TCP_V4 = 1
export const GSO_TCP_V6 = 4
export const GSO_UDP = 5

const NEEDS_CHECKSUM = 1
const TCP = 6
const UDP = 17
const FIN = 0x01
const PSH = 0x08
const CWR = 0x80

interface VirtioFields {
  readonly flags?: number
  readonly type?: number
  readonly headerBytes?: number
  readonly segmentBytes?: number
  readonly checksumStart?: number
  readonly checksumOffset?: number
}

export function virtioHeader(fields: VirtioFields): Uint8Array {
  const header = new Uint8Array(VIRTIO_HEADER_BYTES)
  const view = new DataView(header.buffer)
  header[0] = fields.flags ?? 0
  header[1] = fields.type ?? GSO_NONE
  view.setUint16(2, fields.headerBytes ?? 0, true)
  view.setUint16(4, fields.segmentBytes ?? 0, true)
  view.setUint16(6, fields.checksumStart ?? 0, true)
  view.setUint16(8, fields.checksumOffset ?? 0, true)
  return header
}

/** A message of the interface, header first, as the packets it stands for. */
export function splitSuperPacket(message: Uint8Array): Uint8Array[] {
  const view = new DataView(message.buffer, message.byteOffset, message.length)
  const [flags = 0, type = 0] = message
  const packet = message.slice(VIRTIO_HEADER_BYTES)
  const start = view.getUint16(6, true)
  const offset = view.getUint16(8, true)
  if (type === GSO_NONE) {
    return [(flags & NEEDS_CHECKSUM) === 0 ? packet : withChecksum(packet, start, offset)]
  }
  const protocol = (type & 0x7f) === GSO_UDP ? UDP : TCP
  const headerBytes = start + (protocol === UDP ? 8 : ((packet[start + 12] as number) >> 4) * 4)
  const segmentBytes = view.getUint16(4, true)
  const segments: Uint8Array[] = []
  for (let at = headerBytes; at < packet.length; at += segmentBytes) {
    const payload = packet.subarray(at, Math.min(at + segmentBytes, packet.length))
    const isLast = at + segmentBytes >= packet.length
    const segment = concatBytes(packet.subarray(0, headerBytes), payload)
    finishSegment(segment, { protocol, start, index: segments.length, segmentBytes, isLast })
    segments.push(segment)
  }
  return segments
}

interface SegmentFacts {
  readonly protocol: number
  readonly start: number
  readonly index: number
  readonly segmentBytes: number
  readonly isLast: boolean
}

function finishSegment(segment: Uint8Array, facts: SegmentFacts): void {
  const { protocol, start, index, segmentBytes, isLast } = facts
  const view = new DataView(segment.buffer)
  if (versionOf(segment) === 4) {
    view.setUint16(2, segment.length)
    view.setUint16(4, (view.getUint16(4) + index) & 0xffff)
    view.setUint16(10, 0)
    view.setUint16(10, ~sumOf(segment.subarray(0, start)) & 0xffff)
  } else {
    view.setUint16(4, segment.length - 40)
  }
  if (protocol === UDP) {
    view.setUint16(start + 4, segment.length - start)
  } else {
    view.setUint32(start + 4, view.getUint32(start + 4) + index * segmentBytes)
    const cleared = (isLast ? 0 : FIN | PSH) | (index === 0 ? 0 : CWR)
    segment[start + 13] = (segment[start + 13] as number) & ~cleared
  }
  const offset = protocol === UDP ? 6 : 16
  view.setUint16(start + offset, 0)
  view.setUint16(start + offset, transportChecksum(segment, start, protocol))
}

/** The whole checksum of a TCP or UDP packet whose field is zero. */
export function transportChecksum(packet: Uint8Array, start: number, protocol: number): number {
  const addresses = versionOf(packet) === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40)
  const length = packet.length - start
  const rest = Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length, 0, 0, 0, protocol)
  const checksum = ~sumOf(concatBytes(addresses, rest, packet.subarray(start))) & 0xffff
  return protocol === UDP && checksum === 0 ? 0xffff : checksum
}

/** What stands in the field when the kernel leaves the rest to the device: the pseudo-header's sum. */
export function pseudoHeaderSum(packet: Uint8Array, start: number, protocol: number): number {
  const addresses = versionOf(packet) === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40)
  const length = packet.length - start
  return sumOf(
    concatBytes(
      addresses,
      Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length, 0, 0, 0, protocol),
    ),
  )
}

function withChecksum(packet: Uint8Array, start: number, offset: number): Uint8Array {
  const checksum = ~sumOf(packet.subarray(start)) & 0xffff
  const isUdp = offset === 6
  new DataView(packet.buffer).setUint16(start + offset, isUdp && checksum === 0 ? 0xffff : checksum)
  return packet
}

export function sumOf(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}

function versionOf(packet: Uint8Array): number {
  return (packet[0] as number) >> 4
}
