/**
 * Keeps the addresses and routes that the tunnel gave its interface: network managers flush what they do not know, and
 * the kernel takes routes with the last address, and both when the interface goes down.
 * Somebody who does it again and again is let have it, and what is the matter is told.
 */

import { networkInterfaces } from 'node:os'
import type { Logger } from '../base/log.js'
import { formatPrefix, tryParsePrefix } from '../net/prefix.js'
import { watchLinks } from '../platform/link-events.js'
import { listRoutes } from '../platform/network.js'
import { applyInterfaceChange, type LiveInterface } from './host-changes.js'
import { REPAIR_WINDOW_MS, RepairBudget } from './repair-budget.js'
import type { InterfaceChange, SystemChange } from './system-change.js'
import { describeFault } from './undo.js'

/** Whoever flushes addresses may be about to give others: not while he is at it. */
const LOOK_AFTER_MS = 300

export type KeptChange = Extract<InterfaceChange, { kind: 'address' | 'route' }>

export interface InterfaceKeeperOptions {
  readonly log: Logger
  readonly bootNowMs: () => number
  /** Undefined while it is not here, or not up: then nothing can be kept. */
  readonly live: () => LiveInterface | undefined
  /** Stand-ins for the machine. */
  readonly watch?: typeof watchLinks
  readonly isThere?: (change: KeptChange, live: LiveInterface) => boolean
  readonly apply?: (change: KeptChange, live: LiveInterface) => void
}

export class InterfaceKeeper {
  readonly #options: Required<InterfaceKeeperOptions>
  readonly #budget = new RepairBudget()
  #kept: readonly KeptChange[] = []
  #fault: string | undefined
  #events: { stop(): void } | undefined
  #later: NodeJS.Timeout | undefined

  constructor(options: InterfaceKeeperOptions) {
    this.#options = { watch: watchLinks, isThere, apply: applyInterfaceChange, ...options }
  }

  /** What is wrong now, in words. */
  get fault(): string | undefined {
    return this.#fault
  }

  /** Of these, what can be kept; instead of those before. */
  keep(changes: readonly SystemChange[]): void {
    this.stop()
    // Addresses first: the kernel takes no route without one.
    const kept = changes.filter((change) => change.kind === 'address' || change.kind === 'route')
    this.#kept = kept.toSorted((a, b) => Number(a.kind === 'route') - Number(b.kind === 'route'))
    if (this.#kept.length === 0) return
    this.#events = this.#options.watch(() => this.#lookLater(LOOK_AFTER_MS), { hasRoutes: true })
  }

  stop(): void {
    this.#kept = []
    this.#fault = undefined
    this.#events?.stop()
    this.#events = undefined
    clearTimeout(this.#later)
    this.#later = undefined
  }

  #lookLater(afterMs: number): void {
    this.#later ??= setTimeout(() => {
      this.#later = undefined
      this.#look()
    }, afterMs).unref()
  }

  #look(): void {
    const { isThere, apply, bootNowMs, live, log } = this.#options
    const link = live()
    if (link === undefined) return
    const missing = this.#kept.filter((change) => !isThere(change, link))
    const [first] = missing
    if (first === undefined) {
      this.#fault = undefined
      return
    }
    if (!this.#budget.take(bootNowMs())) {
      this.#report(`another program keeps taking ${first.kind} ${first.prefix} from ${link.name}`)
      this.#lookLater(REPAIR_WINDOW_MS)
      return
    }
    try {
      for (const change of missing) apply(change, link)
      log.info('interface.repaired', { interface: link.name, addressesAndRoutes: missing.length })
      this.#fault = undefined
    } catch (error) {
      this.#report(describeFault(error))
    }
  }

  #report(fault: string): void {
    if (this.#fault !== fault) this.#options.log.warn('interface.lost', { reason: fault })
    this.#fault = fault
  }
}

function isThere({ kind, ...change }: KeptChange, { name, linkIndex }: LiveInterface): boolean {
  const prefix = tryParsePrefix(change.prefix)
  if (prefix === undefined) return true
  const text = formatPrefix(prefix)
  if (kind === 'address') {
    const own = networkInterfaces()[name] ?? []
    return own.some(({ cidr }) => {
      const there = tryParsePrefix(cidr ?? '')
      return there !== undefined && formatPrefix(there) === text
    })
  }
  const table = 'table' in change ? change.table : undefined
  return listRoutes(prefix.address.family, table).some(
    (route) => route.linkIndex === linkIndex && formatPrefix(route.prefix) === text,
  )
}
