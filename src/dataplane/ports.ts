/**
 * What the portable data plane stands on: an inner port for packets and outer ports for datagrams,
 * both in batches over slabs of fixed slots. Real ones are in src/platform, fakes in test/support.
 */

import type { OuterSocketOptions } from './contract.js'

/** A slab of equal slots in one buffer. Slot i is bytes [i × stride, (i + 1) × stride). */
export interface Slab {
  readonly bytes: Uint8Array
  readonly stride: number
  readonly slots: number
  /** Bytes left free at the front of every slot before a packet: room for headers in place. */
  readonly headroom: number
  /** Length of what is in each slot, without headroom. */
  readonly lengths: Uint32Array
}

/** Where the datagram of each slot came from or goes to. Same index as the slab's slots. */
export interface DatagramHeaders {
  /** 16 bytes per slot; v4 addresses are in the first 4. */
  readonly remote: Uint8Array
  readonly remotePort: Uint16Array
  readonly remoteScope: Uint32Array
  /** 16 bytes per slot; all zero where the kernel shall choose, or did not tell. */
  readonly local: Uint8Array
  /** Type of service or traffic class byte of the outer header; ECN in the low two bits. */
  readonly tos: Uint8Array
}

/** Packets to and from the inner interface. */
export interface InnerPort {
  /** Called when packets may be waiting, and again as long as some are: the handler may leave some. */
  onReadable: (() => void) | undefined
  /** Called once when the port is gone for good (interface removed). */
  onGone: ((errno: string) => void) | undefined
  /** Fills slots from 0; gives how many. 0 means none waiting. */
  readBatch(slab: Slab): number
  /** Writes slots 0 to `count` in order; gives how many the interface took, stopping at none. */
  writeBatch(slab: Slab, count: number): number
}

/** One UDP socket. */
export interface OuterPort {
  readonly family: 4 | 6
  readonly port: number
  /** Called when datagrams may be waiting, and again as long as some are. */
  onReadable: (() => void) | undefined
  /** Fills slots from 0; gives how many. 0 means none waiting. */
  receiveBatch(slab: Slab, headers: DatagramHeaders): number
  /**
   * Sends slots 0 to `count`; gives how many were taken. Others are lost: UDP may do that. `hops`: see
   * DataPlane.sendDatagram.
   */
  sendBatch(slab: Slab, headers: DatagramHeaders, count: number, hops?: number): number
  setMark(mark: number): void
  close(): void
}

/** Throws PlatformError. */
export type OpenOuterPort = (options: OuterSocketOptions) => OuterPort
