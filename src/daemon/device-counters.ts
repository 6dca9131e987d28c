/** What a whole device has carried and dropped since it began: sums over its slots, removed peers included. */

import type { BlockFieldName, PeerBlocks } from '../dataplane/peer-block.js'

/** Transport messages alone: handshakes are not among them. */
export interface CarriedTotals {
  readonly rxBytes: number
  readonly rxMessages: number
  readonly txBytes: number
  readonly txMessages: number
}

const CARRIED: readonly (BlockFieldName & keyof CarriedTotals)[] = [
  'rxBytes',
  'rxMessages',
  'txBytes',
  'txMessages',
]

export class DeviceCounters {
  readonly #blocks: PeerBlocks
  readonly #retiredDrops = new Map<string, number>()
  readonly #retired = { rxBytes: 0, rxMessages: 0, txBytes: 0, txMessages: 0 }

  constructor(blocks: PeerBlocks) {
    this.#blocks = blocks
  }

  /** Keeps what a slot has counted, before its peer goes. */
  retire(slot: number): void {
    addDrops(this.#retiredDrops, this.#blocks, slot)
    for (const field of CARRIED) this.#retired[field] += this.#blocks.get(slot, field)
  }

  /** `slots`: of the peers there are. */
  carried(slots: readonly number[]): CarriedTotals {
    const totals = { ...this.#retired }
    for (const slot of slots) {
      for (const field of CARRIED) totals[field] += this.#blocks.get(slot, field)
    }
    return totals
  }

  /** By reason, those above zero only. `others`: drops that are not of the data plane. */
  drops(slots: readonly number[], others: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
    const totals = new Map(this.#retiredDrops)
    for (const [reason, count] of others) addTo(totals, reason, count)
    for (const slot of [...slots, this.#blocks.deviceSlot]) addDrops(totals, this.#blocks, slot)
    return Object.fromEntries(totals)
  }
}

function addDrops(totals: Map<string, number>, blocks: PeerBlocks, slot: number): void {
  for (const [reason, count] of Object.entries(blocks.drops(slot))) addTo(totals, reason, count)
}

function addTo(totals: Map<string, number>, reason: string, count: number): void {
  totals.set(reason, (totals.get(reason) ?? 0) + count)
}
