/**
 * How long it takes to connect to each relay of the network, for the choice of those to stay connected to.
 * Measured where there are more than that; nothing is sent over the connections.
 */

import type { RelayInfo } from '../../control/messages.js'
import type { AddressCheck } from '../../platform/checked-lookup.js'
import { timeTcpConnect } from '../../platform/tcp-reach.js'

const PATIENCE_MS = 3000
const INTERVAL_MS = 600_000
/** Something changed: measured anew, but not all the time. */
const MIN_INTERVAL_MS = 30_000

export interface RelayMeterOptions {
  readonly nowMs: () => number
  readonly isAllowed: AddressCheck
  /** By `id`; undefined for one that could not be connected to. */
  readonly onMeasured: (ms: ReadonlyMap<string, number | undefined>) => void
}

export class RelayMeter {
  readonly #options: RelayMeterOptions
  readonly #abort = new AbortController()
  #relays: ReadonlyMap<string, RelayInfo> = new Map()
  #startedMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(options: RelayMeterOptions) {
    this.#options = options
  }

  /** `relays`: by id; none if there is nothing to choose. */
  configure(relays: ReadonlyMap<string, RelayInfo>): void {
    if ([...relays.keys()].join() === [...this.#relays.keys()].join()) return
    this.#relays = relays
    this.#schedule(0)
  }

  /** A link broke, or the network is another one. */
  refresh(): void {
    this.#schedule(Math.max(0, this.#startedMs + MIN_INTERVAL_MS - this.#options.nowMs()))
  }

  stop(): void {
    this.#abort.abort()
    clearTimeout(this.#timer)
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer)
    if (this.#relays.size === 0 || this.#abort.signal.aborted) return
    this.#timer = setTimeout(() => void this.#measure(), delayMs)
  }

  async #measure(): Promise<void> {
    const { nowMs, isAllowed, onMeasured } = this.#options
    const relays = this.#relays
    const { signal } = this.#abort
    this.#startedMs = nowMs()
    this.#schedule(INTERVAL_MS)
    const measured = await Promise.all(
      [...relays].map(
        async ([id, info]) =>
          [id, await timeTcpConnect(info, { timeoutMs: PATIENCE_MS, nowMs, isAllowed, signal })] as const,
      ),
    )
    if (!signal.aborted && relays === this.#relays) onMeasured(new Map(measured))
  }
}
