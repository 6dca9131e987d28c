/**
 * Host names of peers that were not resolved when the tunnel came up: asked for again, each at growing intervals and
 * for as long as it takes, while the tunnel runs without them. One question is out at a time: each holds a thread of
 * the few that the program has for files and names.
 */

import { type Endpoint, formatHostEndpoint, type HostEndpoint } from '../net/endpoint.js'
import { describeFailure, tryResolve } from './endpoint-resolver.js'

const FIRST_INTERVAL_MS = 1000
const GROWTH = 1.5
const MAX_INTERVAL_MS = 30_000

export interface UnresolvedNamesOptions {
  readonly wallNowMs: () => number
  readonly onResolved: (host: HostEndpoint, endpoint: Endpoint) => void
  readonly resolve?: (host: HostEndpoint) => Promise<Endpoint | string>
}

interface Waiting {
  readonly host: HostEndpoint
  readonly sinceMs: number
  reason: string
  intervalMs: number
  timer: NodeJS.Timeout | undefined
}

export class UnresolvedNames {
  readonly #options: UnresolvedNamesOptions
  /** By formatHostEndpoint. */
  readonly #waiting = new Map<string, Waiting>()
  #turn: Promise<void> = Promise.resolve()

  constructor(options: UnresolvedNamesOptions) {
    this.#options = options
  }

  /** For people: each with the reason, and since when. */
  get faults(): string[] {
    return [...this.#waiting].map(([text, { reason, sinceMs }]) => {
      const since = new Date(sinceMs).toISOString()
      return `endpoint ${text} does not resolve: ${reason}; it is asked for again since ${since}`
    })
  }

  has(host: HostEndpoint): boolean {
    return this.#waiting.has(formatHostEndpoint(host))
  }

  /** `reason`: why it was not resolved. */
  add(host: HostEndpoint, reason: string): void {
    const text = formatHostEndpoint(host)
    if (this.#waiting.has(text)) return
    const sinceMs = this.#options.wallNowMs()
    const waiting = { host, reason, sinceMs, intervalMs: FIRST_INTERVAL_MS, timer: undefined }
    this.#waiting.set(text, waiting)
    this.#schedule(text, waiting)
  }

  /** No others are asked for any more. */
  retain(hosts: readonly HostEndpoint[]): void {
    const wanted = new Set(hosts.map(formatHostEndpoint))
    for (const text of [...this.#waiting.keys()]) if (!wanted.has(text)) this.#drop(text)
  }

  stop(): void {
    for (const text of [...this.#waiting.keys()]) this.#drop(text)
  }

  #drop(text: string): void {
    clearTimeout(this.#waiting.get(text)?.timer)
    this.#waiting.delete(text)
  }

  #schedule(text: string, waiting: Waiting): void {
    waiting.timer = setTimeout(() => {
      this.#turn = this.#turn.then(async () => await this.#ask(text, waiting))
    }, waiting.intervalMs)
    waiting.timer.unref()
    waiting.intervalMs = Math.min(MAX_INTERVAL_MS, GROWTH * waiting.intervalMs)
  }

  async #ask(text: string, waiting: Waiting): Promise<void> {
    const { resolve = tryResolve, onResolved } = this.#options
    if (this.#waiting.get(text) !== waiting) return
    const result = await resolve(waiting.host)
    // It may have been given up meanwhile.
    if (this.#waiting.get(text) !== waiting) return
    if (typeof result === 'string') {
      waiting.reason = describeFailure(result)
      this.#schedule(text, waiting)
      return
    }
    this.#drop(text)
    onResolved(waiting.host, result)
  }
}
