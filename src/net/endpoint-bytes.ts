/**
 * Endpoints in our own wire formats: an address of 16 bytes, v4-mapped if need be (RFC 4291 section
 * 2.5.5.2), then a port of 2 bytes, big-endian.
 */

import { concatBytes, equalBytes } from '../base/bytes.js'
import type { Endpoint } from './endpoint.js'
import { type IpAddress, ipFromBytes } from './ip.js'

export const ENDPOINT_BYTES = 18
const V4_MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)

/** The 16 bytes of an address of either family. */
export function mappedAddressBytes(address: IpAddress): Uint8Array {
  return address.family === 4 ? concatBytes(V4_MAPPED, address.bytes) : address.bytes
}

/** A scope is nothing to another machine and is left out. */
export function encodeEndpoint({ address, port }: Endpoint): Uint8Array {
  return concatBytes(mappedAddressBytes(address), Uint8Array.of(port >> 8, port))
}

/** Undefined if `bytes` end too early, or for port 0. */
export function tryDecodeEndpoint(bytes: Uint8Array, offset: number): Endpoint | undefined {
  if (bytes.length < offset + ENDPOINT_BYTES) return undefined
  const address = bytes.subarray(offset, offset + 16)
  const port = ((bytes[offset + 16] as number) << 8) | (bytes[offset + 17] as number)
  const isV4 = equalBytes(address.subarray(0, V4_MAPPED.length), V4_MAPPED)
  const own = ipFromBytes(isV4 ? address.subarray(V4_MAPPED.length) : address)
  return port === 0 ? undefined : { address: own, port, scopeId: 0 }
}
