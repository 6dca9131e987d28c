/**
 * Keeps our lines in resolv.conf: NetworkManager, dhclient and others write that file anew whenever they like.
 * Somebody who does it again and again is let have it, and what is the matter is told.
 */

import { unwatchFile, watchFile } from 'node:fs'
import type { Logger } from '../base/log.js'
import type { ResolverEntry } from '../platform/resolv-conf.js'
import { addResolverEntry, hasResolverEntry, RESOLV_CONF } from '../platform/resolver.js'
import { REPAIR_WINDOW_MS, RepairBudget } from './repair-budget.js'
import { describeFault } from './undo.js'

const LOOK_INTERVAL_MS = 2000

export interface KeeperOptions {
  readonly log: Logger
  readonly bootNowMs: () => number
  /** Stand-ins for the machine's resolver. */
  readonly isThere?: (entry: ResolverEntry) => boolean
  readonly add?: (entry: ResolverEntry) => Promise<unknown>
}

export class ResolverKeeper {
  readonly #options: Required<KeeperOptions>
  #entries: readonly ResolverEntry[] = []
  readonly #budget = new RepairBudget()
  #fault: string | undefined
  #later: NodeJS.Timeout | undefined
  readonly #onLook = (): void => void this.look()

  constructor(options: KeeperOptions) {
    this.#options = { isThere: hasResolverEntry, add: addResolverEntry, ...options }
  }

  /** What is wrong now, in words. */
  get fault(): string | undefined {
    return this.#fault
  }

  /** Instead of those before. */
  keep(entries: readonly ResolverEntry[]): void {
    this.stop()
    this.#entries = entries
    if (entries.length === 0) return
    watchFile(RESOLV_CONF, { interval: LOOK_INTERVAL_MS, persistent: false }, this.#onLook)
    // What changes are measured by is read in the background: a change before that would never be one.
    this.#later = setTimeout(this.#onLook, LOOK_INTERVAL_MS).unref()
  }

  stop(): void {
    this.#entries = []
    this.#fault = undefined
    clearTimeout(this.#later)
    unwatchFile(RESOLV_CONF, this.#onLook)
  }

  /** The file was changed. */
  async look(): Promise<void> {
    const { isThere, add, bootNowMs, log } = this.#options
    const missing = this.#entries.filter((entry) => !isThere(entry))
    if (missing.length === 0) {
      this.#fault = undefined
      return
    }
    if (!this.#budget.take(bootNowMs())) {
      this.#report(`another program keeps changing ${RESOLV_CONF}: our servers are not in it`)
      clearTimeout(this.#later)
      this.#later = setTimeout(this.#onLook, REPAIR_WINDOW_MS).unref()
      return
    }
    try {
      for (const entry of missing) await add(entry)
      log.info('resolver.repaired', { file: RESOLV_CONF })
      this.#fault = undefined
    } catch (error) {
      this.#report(describeFault(error))
    }
  }

  #report(fault: string): void {
    if (this.#fault !== fault) this.#options.log.warn('resolver.lost', { reason: fault })
    this.#fault = fault
  }
}
