/**
 * What is sent through a bed: TCP by iperf3, UDP by our own generator, and pings. Every function
 * gives plain figures and ends by itself.
 */

import { resolve } from 'node:path'
import { until } from '../test/support/lab.js'
import type { BackgroundProcess } from '../test/support/processes.js'
import type { Bed } from './bed.js'
import type { Probe } from './rate-search.js'
import { percentile } from './statistics.js'

export interface TcpFlows {
  readonly flows: number
  readonly isBackwards: boolean
  readonly seconds: number
}

export interface TcpResult {
  /** As the receiver counted, without the warm-up. */
  readonly mbps: number
  /** All of them, those of the warm-up too. */
  readonly bytes: number
}

export interface RoundTrips {
  readonly medianMs: number
  readonly p99Ms: number
}

export const WARM_UP_S = 1
export const PINGS = 200
export const PING_INTERVAL_S = 0.005
const MIN_ANSWERED = 0.95
const TCP_PORT = 5201
const BACKGROUND_PORT = 5202
const OFFLOADS = ['gso', 'tso', 'gro', 'tx-udp-segmentation']
const GENERATOR: string = resolve('build/bench/native/udp-rate')

interface IperfReport {
  readonly intervals: readonly { readonly sum: { readonly bytes: number } }[]
  readonly end: { readonly sum_received: { readonly bytes: number; readonly seconds: number } }
}

/** Traffic to `target`, an address of the right end. */
export class Traffic {
  readonly #bed: Bed
  readonly #target: string

  constructor(bed: Bed, target: string) {
    this.#bed = bed
    this.#target = target
  }

  /** Once, before tcp(). */
  async startTcpServer(): Promise<void> {
    await this.#serve(TCP_PORT, '')
  }

  async tcp({ flows, isBackwards, seconds }: TcpFlows): Promise<TcpResult> {
    const line = `${this.#client(TCP_PORT, seconds)} -J -O ${WARM_UP_S} -P ${flows}${isBackwards ? ' -R' : ''}`
    const text = await this.#bed.left.host.run(line, { timeoutMs: (seconds + WARM_UP_S + 30) * 1000 })
    const { intervals, end } = JSON.parse(text) as IperfReport
    return {
      mbps: (end.sum_received.bytes * 8) / end.sum_received.seconds / 1e6,
      bytes: intervals.reduce((sum, interval) => sum + interval.sum.bytes, 0),
    }
  }

  async ping(): Promise<RoundTrips> {
    const line = `ping -n -i ${PING_INTERVAL_S} -c ${PINGS} -W 2 ${this.#target}`
    const { stdout } = await this.#bed.left.host.tryRun(line)
    const times = [...stdout.matchAll(/ time=([\d.]+) ms/g)].map(([, time]) => Number(time))
    if (times.length < PINGS * MIN_ANSWERED) throw new Error(`${times.length} of ${PINGS} pings answered`)
    return { medianMs: percentile(times, 0.5), p99Ms: percentile(times, 0.99) }
  }

  /** Pings beside one TCP flow. */
  async pingUnderLoad(): Promise<RoundTrips> {
    const server = await this.#serve(BACKGROUND_PORT, '-1')
    const client = this.#bed.left.host.start(this.#client(BACKGROUND_PORT, 60))
    try {
      await new Promise((done) => setTimeout(done, WARM_UP_S * 1000))
      return await this.ping()
    } finally {
      await client.stop()
      await server.stop()
    }
  }

  async udp(payloadBytes: number, rate: number, seconds: number): Promise<Probe> {
    const { left, right } = this.#bed
    const plan = [left.host.name, right.host.name, this.#target, payloadBytes, Math.round(rate), seconds]
    return JSON.parse(await left.host.run([GENERATOR, ...plan.map(String)])) as Probe
  }

  /** From now on every datagram crosses the cable alone, as on a wire. */
  async removeOffloads(): Promise<void> {
    const settings = OFFLOADS.flatMap((name) => [name, 'off'])
    for (const { host } of [this.#bed.left, this.#bed.right]) {
      await host.run(['ethtool', '-K', 'eth0', ...settings])
    }
  }

  #client(port: number, seconds: number): string {
    // A fixed congestion control, whatever the machine's own choice is.
    return `iperf3 -c ${this.#target} -p ${port} -C cubic -t ${seconds}`
  }

  async #serve(port: number, extra: string): Promise<BackgroundProcess> {
    const { host } = this.#bed.right
    const server = host.start(`iperf3 -s -p ${port} ${extra}`)
    await until('iperf3 listens', async () => (await host.run('ss -Hltn')).includes(`:${port} `))
    return server
  }
}
