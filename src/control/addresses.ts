/**
 * Addresses of a network's nodes. IPv6 is self-certifying: its host part is a hash of the identity key,
 * so that a peer checks it and nobody can hand it to another. IPv4 is leased by the hub.
 */

import { type IpAddress, ipFromBytes } from '../net/ip.js'
import { maskPrefix, type Prefix } from '../net/prefix.js'
import type { Crypto } from '../wireguard/crypto.js'

const LABEL = new TextEncoder().encode('overlay address v1')
const NETWORK_BYTES = 6

/** fd00::/8 and 40 random bits (RFC 4193 section 3.2). `random`: 5 bytes. */
export function networkPrefix6(random: Uint8Array): Prefix {
  const bytes = new Uint8Array(16)
  bytes[0] = 0xfd
  bytes.set(random.subarray(0, NETWORK_BYTES - 1), 1)
  return { address: ipFromBytes(bytes), bits: 8 * NETWORK_BYTES }
}

/** A /16 inside 100.64.0.0/10 (RFC 6598). `random`: 0 to 63. */
export function networkPrefix4(random: number): Prefix {
  return { address: ipFromBytes(Uint8Array.of(100, 64 + (random & 63), 0, 0)), bits: 16 }
}

/** The address of `identity` in the network `prefix`, a /48. */
export function addressOf(crypto: Crypto, prefix: Prefix, identity: Uint8Array): IpAddress {
  const bytes = new Uint8Array(maskPrefix(prefix).address.bytes)
  bytes.set(crypto.hash(LABEL, identity).subarray(0, bytes.length - NETWORK_BYTES), NETWORK_BYTES)
  return ipFromBytes(bytes)
}
