/**
 * Counts answers to echo requests, request by request: ping's own count of losses takes an answer
 * for lost that comes a little late on a busy machine.
 */

import { type Host, until } from './lab.js'
import type { BackgroundProcess } from './processes.js'

/** Reached only if an answer stays out. */
const DEFAULT_WAIT_S = 30
const STEADY_INTERVAL_S = 0.02

export interface PingOptions {
  readonly intervalS?: number
  /** Time allowed beyond that of the requests themselves, for a slow machine and the last answers. */
  readonly waitS?: number
  /** Further arguments of ping. */
  readonly extra?: string
}

/** Numbers of the requests, from 1, that have been answered. */
function answeredBy(process: BackgroundProcess): Set<number> {
  const matches = process.stdout().matchAll(/ bytes from .*icmp_seq=(\d+) /g)
  return new Set([...matches].map(([, sequence]) => Number(sequence)))
}

/** Gives how many of the first `count` requests were answered; further ones may follow late answers. */
export async function ping(
  from: Host,
  address: string,
  count = 1,
  options: PingOptions = {},
): Promise<number> {
  const { intervalS = 0.05, waitS = DEFAULT_WAIT_S, extra = '' } = options
  // A busy machine stretches the intervals; ping ends earlier as soon as it has its answers.
  const limitS = Math.ceil(2 * count * intervalS) + waitS
  const interval = count > 1 ? intervalS : 1
  // With -w ping goes on until `count` answers came, so that a late one is not missed.
  const process = from.start(`ping -n -i ${interval} -c ${count} -w ${limitS} ${extra} ${address}`)
  await process.end((limitS + 60) * 1000)
  return [...answeredBy(process)].filter((sequence) => sequence <= count).length
}

/** Pings that go on for as long as something else takes. */
export class SteadyPings {
  readonly #process: BackgroundProcess

  constructor(from: Host, address: string) {
    this.#process = from.start(`ping -n -i ${STEADY_INTERVAL_S} ${address}`)
  }

  /** Waits for the answer to the request `count` after the last one answered so far. */
  async untilAnswered(count: number): Promise<void> {
    const goal = Math.max(0, ...answeredBy(this.#process)) + count
    await until(`answer ${goal}`, () => Math.max(0, ...answeredBy(this.#process)) >= goal)
  }

  /** Ends them; gives the requests without answer before the last that was answered. */
  async stop(): Promise<number[]> {
    await this.#process.stop('SIGINT')
    const answered = answeredBy(this.#process)
    const numbers = Array.from({ length: Math.max(0, ...answered) }, (_, i) => i + 1)
    return numbers.filter((number) => !answered.has(number))
  }
}
