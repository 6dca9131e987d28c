/**
 * Facts of inner IP packets, read and written in place: no allocation, no parsing beyond need.
 *
 * | field | IPv4 | IPv6 |
 * | version | byte 0, high half | byte 0, high half |
 * | length | 2–3, whole packet | 4–5, without the header of 40 bytes |
 * | ECN | byte 1, bits 0–1 | byte 1, bits 4–5 |
 * | source · destination | 12 · 16 | 8 · 24 |
 *
 * Extension headers and options are passed over: they are the business of the two ends. Only udpOffsetAt looks
 * behind the fragment's, for what is sent whole may be cut on its way.
 */

export const IPV4_HEADER_BYTES = 20
const IPV6_HEADER_BYTES = 40

/** ECN field (RFC 3168 section 5). */
const NOT_ECT = 0
const CONGESTION_EXPERIENCED = 3

const IPV4_SOURCE_OFFSET = 12
const IPV4_DESTINATION_OFFSET = 16
const IPV6_SOURCE_OFFSET = 8
const IPV6_DESTINATION_OFFSET = 24
const IPV4_CHECKSUM_OFFSET = 10
const PROTOCOL_UDP = 17
const UDP_HEADER_BYTES = 8
const IPV6_FRAGMENT = 44
const IPV6_FRAGMENT_BYTES = 8
const FRAGMENT_OFFSET_BITS = 0x1fff

/** 4 or 6 if `length` bytes at `offset` begin with a whole header of that version, else 0. */
export function ipVersionAt(bytes: Uint8Array, offset: number, length: number): 4 | 6 | 0 {
  if (length < IPV4_HEADER_BYTES) return 0
  const version = (bytes[offset] as number) >> 4
  if (version === 4) return 4
  return version === 6 && length >= IPV6_HEADER_BYTES ? 6 : 0
}

/**
 * Length of the packet by its own header; 0 if the header claims less than itself or more than
 * `length`. Bytes beyond it are padding. `version`: of ipVersionAt.
 */
export function ipLengthAt(bytes: Uint8Array, offset: number, length: number, version: 4 | 6): number {
  const field = offset + (version === 4 ? 2 : 4)
  const claimed = uint16At(bytes, field)
  const total = version === 4 ? claimed : claimed + IPV6_HEADER_BYTES
  return total < IPV4_HEADER_BYTES || total > length ? 0 : total
}

/** Offset of the source address in a packet. */
export function sourceOffsetOf(version: 4 | 6): number {
  return version === 4 ? IPV4_SOURCE_OFFSET : IPV6_SOURCE_OFFSET
}

/** Offset of the destination address in a packet. */
export function destinationOffsetOf(version: 4 | 6): number {
  return version === 4 ? IPV4_DESTINATION_OFFSET : IPV6_DESTINATION_OFFSET
}

/** Where the UDP header of the packet at `offset` begins; 0 if it has none, or is a fragment but the first. */
export function udpOffsetAt(bytes: Uint8Array, offset: number, length: number, version: 4 | 6): number {
  const headerBytes =
    version === 4 ? udpHeaderBytesV4(bytes, offset) : udpHeaderBytesV6(bytes, offset, length)
  return headerBytes > 0 && headerBytes + UDP_HEADER_BYTES <= length ? offset + headerBytes : 0
}

/** What stands before the UDP header; 0 if there is none. */
function udpHeaderBytesV4(bytes: Uint8Array, offset: number): number {
  if (bytes[offset + 9] !== PROTOCOL_UDP || (uint16At(bytes, offset + 6) & FRAGMENT_OFFSET_BITS) !== 0)
    return 0
  return 4 * ((bytes[offset] as number) & 15)
}

function udpHeaderBytesV6(bytes: Uint8Array, offset: number, length: number): number {
  if (bytes[offset + 6] === PROTOCOL_UDP) return IPV6_HEADER_BYTES
  const headerBytes = IPV6_HEADER_BYTES + IPV6_FRAGMENT_BYTES
  if (bytes[offset + 6] !== IPV6_FRAGMENT || length < headerBytes) return 0
  const fragment = offset + IPV6_HEADER_BYTES
  return bytes[fragment] === PROTOCOL_UDP && uint16At(bytes, fragment + 2) >> 3 === 0 ? headerBytes : 0
}

function uint16At(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number)
}

/** The two ECN bits of the packet at `offset`. */
export function ecnAt(bytes: Uint8Array, offset: number, version: 4 | 6): number {
  const field = bytes[offset + 1] as number
  return version === 4 ? field & 3 : (field >> 4) & 3
}

/**
 * What the outer header has met on its way goes on inside (RFC 6040 section 4.2, as WireGuard does it):
 * congestion experienced is marked on packets whose ends can read it, and never dropped for. `tos`:
 * type of service or traffic class of the outer header.
 */
export function propagateCongestion(bytes: Uint8Array, offset: number, version: 4 | 6, tos: number): void {
  if ((tos & 3) !== CONGESTION_EXPERIENCED) return
  const ecn = ecnAt(bytes, offset, version)
  if (ecn === NOT_ECT || ecn === CONGESTION_EXPERIENCED) return
  const field = bytes[offset + 1] as number
  if (version === 6) {
    bytes[offset + 1] = field | (CONGESTION_EXPERIENCED << 4)
    return
  }
  bytes[offset + 1] = field | CONGESTION_EXPERIENCED
  adjustChecksum(bytes, offset + IPV4_CHECKSUM_OFFSET, CONGESTION_EXPERIENCED - ecn)
}

/** A 16-bit word under the checksum grew by `added`: HC' = ~(~HC + ~m + m'), RFC 1624 equation 3. */
function adjustChecksum(bytes: Uint8Array, offset: number, added: number): void {
  const checksum = uint16At(bytes, offset)
  const sum = (~checksum & 0xffff) + added
  const folded = ~((sum & 0xffff) + (sum >> 16)) & 0xffff
  bytes[offset] = folded >> 8
  bytes[offset + 1] = folded & 0xff
}
