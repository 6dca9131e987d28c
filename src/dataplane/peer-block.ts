/**
 * The shared counter blocks: one per peer slot, written by the data plane without a call, read by
 * the protocol timers and by `status` at any moment.
 *
 * A block is BLOCK_FIELDS doubles, 8-byte aligned, so native threads store each field atomically.
 * INVARIANT: every field has one writing direction (out or in), so no field is ever read-modified by
 * two threads. Times are boot-time milliseconds with fraction; 0 means never. Counts stay exact up
 * to 2^53.
 *
 * | field | meaning | written by |
 * | 0 | transport bytes sent, with header and tag | out |
 * | 1 | transport messages sent | out |
 * | 2 | transport bytes received and authenticated | in |
 * | 3 | transport messages received and authenticated | in |
 * | 4 | time of the last transport message sent | out |
 * | 5 | time of the last data (not keepalive) sent | out |
 * | 6 | time of the first data sent after the last authenticated receive | out |
 * | 7 | time of the last authenticated receive | in |
 * | 8 | time of the last data (not keepalive) received | in |
 * | 9 | time of the first data received after the last send | in |
 * | 10 | send counter of the current keypair, rounded to a double | out |
 * | 16–47 | drops by reason (drop-reasons.ts) | both, see below |
 *
 * Drops are counted from both directions. Each reason happens in one direction only, except
 * `keypairExpired` and `malformedPacket`, where a lost increment is accepted.
 */

import { DROP_REASONS } from './drop-reasons.js'

const BLOCK_FIELDS = 48
const BLOCK_FIELD = {
  txBytes: 0,
  txMessages: 1,
  rxBytes: 2,
  rxMessages: 3,
  lastSendMs: 4,
  lastDataSendMs: 5,
  firstUnansweredSendMs: 6,
  lastReceiveMs: 7,
  lastDataReceiveMs: 8,
  firstUnansweredReceiveMs: 9,
  sendCounter: 10,
  drops: 16,
} as const

if (BLOCK_FIELD.drops + DROP_REASONS.length > BLOCK_FIELDS) {
  throw new RangeError('a drop counter beyond the block would count in the next one')
}

export type BlockFieldName = keyof typeof BLOCK_FIELD

/** Blocks of all slots over one buffer, plus one last block for what belongs to no peer. */
export class PeerBlocks {
  readonly #fields: Float64Array
  /** Slot number of the device's own block: drops with no known peer. */
  readonly deviceSlot: number

  /** `buffer`: (slots + 1) × BLOCK_FIELDS × 8 bytes. */
  constructor(buffer: ArrayBufferLike) {
    this.#fields = new Float64Array(buffer)
    this.deviceSlot = this.#fields.length / BLOCK_FIELDS - 1
  }

  static bytesFor(slots: number): number {
    return (slots + 1) * BLOCK_FIELDS * Float64Array.BYTES_PER_ELEMENT
  }

  get(slot: number, field: BlockFieldName): number {
    return this.#fields[slot * BLOCK_FIELDS + BLOCK_FIELD[field]] as number
  }

  set(slot: number, field: BlockFieldName, value: number): void {
    this.#fields[slot * BLOCK_FIELDS + BLOCK_FIELD[field]] = value
  }

  add(slot: number, field: BlockFieldName, amount: number): void {
    const at = slot * BLOCK_FIELDS + BLOCK_FIELD[field]
    this.#fields[at] = (this.#fields[at] as number) + amount
  }

  /** `reason`: an index from DROP. */
  countDrop(slot: number, reason: number): void {
    const at = slot * BLOCK_FIELDS + BLOCK_FIELD.drops + reason
    this.#fields[at] = (this.#fields[at] as number) + 1
  }

  /** Drops of one slot by reason, those above zero only. */
  drops(slot: number): Record<string, number> {
    const counted: Record<string, number> = {}
    for (const [i, reason] of DROP_REASONS.entries()) {
      const count = this.#fields[slot * BLOCK_FIELDS + BLOCK_FIELD.drops + i] as number
      if (count > 0) counted[reason] = count
    }
    return counted
  }

  clear(slot: number): void {
    this.#fields.fill(0, slot * BLOCK_FIELDS, (slot + 1) * BLOCK_FIELDS)
  }
}
