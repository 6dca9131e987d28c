/**
 * Counts answers to echo requests, request by request: ping's own count of losses takes an answer
 * for lost that comes a little late on a busy machine.
 */

import type { Host } from './lab.js'
import type { BackgroundProcess } from './processes.js'

/** Reached only if an answer stays out. */
const DEFAULT_WAIT_S = 10

export interface PingOptions {
  readonly count?: number
  readonly intervalS?: number
  /** Time allowed beyond that of the requests themselves, for a slow machine and the last answers. */
  readonly waitS?: number
  /** Further arguments of ping. */
  readonly extra?: string
}

export class Pings {
  readonly #process: BackgroundProcess
  readonly #count: number
  readonly #limitMs: number

  constructor(from: Host, address: string, options: PingOptions = {}) {
    const { count = 1, intervalS = 0.05, waitS = DEFAULT_WAIT_S, extra = '' } = options
    // A busy machine stretches the intervals; ping ends earlier as soon as it has its answers.
    const limitS = Math.ceil(2 * count * intervalS) + waitS
    this.#count = count
    this.#limitMs = (limitS + 30) * 1000
    // With -w ping goes on until `count` answers came, so that a late one is not missed.
    const interval = count > 1 ? intervalS : 1
    this.#process = from.start(`ping -n -i ${interval} -c ${count} -w ${limitS} ${extra} ${address}`)
  }

  /** Which of the first `count` requests have been answered so far. */
  #answers(): number {
    const sequences = [...this.#process.stdout().matchAll(/ bytes from .*icmp_seq=(\d+) /g)]
    return new Set(sequences.map(([, sequence]) => Number(sequence)).filter((n) => n <= this.#count)).size
  }

  get hasBegun(): boolean {
    return this.#answers() > 0
  }

  /** Requests answered, when all are or the time is over. */
  async answered(): Promise<number> {
    await this.#process.end(this.#limitMs)
    return this.#answers()
  }
}

/** Gives how many of the requests were answered. */
export function ping(from: Host, address: string, count = 1, options: PingOptions = {}): Promise<number> {
  return new Pings(from, address, { ...options, count }).answered()
}
