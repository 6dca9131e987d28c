/**
 * Memory of the portable data plane: slabs whose slots are so large that every packet can be sealed or
 * opened where it lies, and two views of one slab, one seeing packets, one the datagrams around them.
 *
 * The stride is no power of two, so that equal offsets in all slots do not fall into the same cache
 * sets. The memory of unused slot ends is never touched, and so never committed.
 */

import { PADDING_BYTES, TAG_BYTES, TRANSPORT_HEADER_BYTES } from '../../wireguard/constants.js'
import type { DatagramHeaders, Slab } from '../ports.js'

/** Packets per system call and per round of the hot paths. */
export const BATCH_SLOTS = 64
const MAX_IP_PACKET_BYTES = 65_575 // IPv6: 65,535 and the header of 40
const CACHE_LINE_BYTES = 64

const SLOT_BYTES = TRANSPORT_HEADER_BYTES + MAX_IP_PACKET_BYTES + PADDING_BYTES + TAG_BYTES
const STRIDE: number = Math.ceil(SLOT_BYTES / CACHE_LINE_BYTES) * CACHE_LINE_BYTES

/** Two views of the same slots; each has lengths of its own. */
export interface SealingSlab {
  /** The message header's room is headroom. */
  readonly packets: Slab
  /** No headroom. */
  readonly datagrams: Slab
}

export function createSealingSlab(): SealingSlab {
  const bytes = new Uint8Array(BATCH_SLOTS * STRIDE)
  return { packets: viewOf(bytes, TRANSPORT_HEADER_BYTES), datagrams: viewOf(bytes, 0) }
}

function viewOf(bytes: Uint8Array, headroom: number): Slab {
  return { bytes, stride: STRIDE, slots: BATCH_SLOTS, headroom, lengths: new Uint32Array(BATCH_SLOTS) }
}

/** A slab of one slot over `bytes`. */
export function slabOfOne(bytes: Uint8Array): Slab {
  const lengths = Uint32Array.of(bytes.length)
  return { bytes, stride: bytes.length, slots: 1, headroom: 0, lengths }
}

export function createDatagramHeaders(slots: number): DatagramHeaders {
  return {
    remote: new Uint8Array(16 * slots),
    remotePort: new Uint16Array(slots),
    remoteScope: new Uint32Array(slots),
    local: new Uint8Array(16 * slots),
    tos: new Uint8Array(slots),
  }
}
