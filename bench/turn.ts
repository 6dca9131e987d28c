/**
 * One contender's turn in one round: a new bed, all measurements one after the other, and everything
 * gone again. A measurement that fails leaves its figures out and the others alone.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withLab } from '../test/support/lab.js'
import { type Bed, configFile, idlePeers, layBed, openBed, untilAnswered } from './bed.js'
import { type Contender, type Daemon, MANY_PEERS } from './contenders.js'
import type { MeasureId, Sample } from './measures.js'
import { cpuS, daemonsOf, memoryOf } from './processes.js'
import { type SearchLimits, searchRate } from './rate-search.js'
import { PING_INTERVAL_S, PINGS, Traffic, WARM_UP_S } from './traffic.js'

export interface TurnOptions {
  readonly seconds: number
  readonly search: SearchLimits
}

export interface TurnResult {
  readonly sample: Sample
  readonly failures: readonly string[]
}

type Values = Partial<Record<MeasureId, number>>

export async function takeTurn(contender: Contender, options: TurnOptions): Promise<TurnResult> {
  const turn = new Turn(contender, options)
  try {
    await withLab(async (lab) => turn.load(await openBed(lab, contender)))
  } catch (error) {
    turn.noteFailure('tunnel', error)
  }
  if (contender.daemon !== undefined && contender.peers === 1) {
    const { daemon } = contender
    await turn.attempt('start', () => turn.measureStart(daemon))
    await turn.attempt('memory with many peers', () => turn.measureManyPeersMemory(daemon))
  }
  return { sample: turn.values, failures: turn.failures }
}

/** Rough, for the announcement: beds and programs included. */
export function turnS({ daemon, peers }: Contender, { seconds, search }: TurnOptions): number {
  const tcpS = seconds + WARM_UP_S + 0.3
  if (peers > 1) return tcpS + 3
  const pingS = 2 * PINGS * PING_INTERVAL_S + WARM_UP_S + 1
  const udpS = 2 * (9 * (search.probeS + 0.2) + 1.5 * (search.confirmS + 0.2))
  return 5 * tcpS + pingS + udpS + (daemon === undefined ? 1 : 5)
}

class Turn {
  readonly values: Values = {}
  readonly failures: string[] = []
  readonly #contender: Contender
  readonly #options: TurnOptions

  constructor(contender: Contender, options: TurnOptions) {
    this.#contender = contender
    this.#options = options
  }

  async attempt(what: string, measure: () => Promise<Values>): Promise<void> {
    try {
      Object.assign(this.values, await measure())
    } catch (error) {
      this.noteFailure(what, error)
    }
  }

  noteFailure(what: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error)
    this.failures.push(`${this.#contender.name}: ${what}: ${reason}`)
  }

  /** The loads follow each other so that memory is read after the heaviest, offloads go last. */
  async load(bed: Bed): Promise<void> {
    const { daemon, peers } = this.#contender
    const daemons = daemonsOf(bed)
    const traffic = new Traffic(bed, daemon === undefined ? bed.right.outer : bed.right.inner)
    await traffic.startTcpServer()
    if (peers <= 1) await this.attempt('idle ping', () => idlePing(traffic))
    await this.attempt('TCP 1 A→B', () => this.#tcp1(traffic, daemons.flat()))
    if (peers > 1) return
    await this.attempt('TCP 1 B→A', () => this.#tcp(traffic, 'tcp1BackMbps', 1, true))
    await this.attempt('TCP 4 A→B', () => this.#tcp(traffic, 'tcp4ThereMbps', 4, false))
    await this.attempt('TCP 4 B→A', () => this.#tcp(traffic, 'tcp4BackMbps', 4, true))
    await this.attempt('loaded ping', () => loadedPing(traffic))
    await this.attempt('UDP 64 B', () => this.#udp(traffic, 'udp64Kpps', 64))
    await this.attempt('UDP 1392 B', () => this.#udp(traffic, 'udp1392Kpps', 1392))
    if (daemon !== undefined) await this.attempt('memory', async () => largerMemory(daemons))
    await this.attempt('TCP without offloads', async () => {
      await traffic.removeOffloads()
      return this.#tcp(traffic, 'tcp1PlainMbps', 1, false)
    })
  }

  async #tcp1(traffic: Traffic, pids: readonly number[]): Promise<Values> {
    const { seconds } = this.#options
    const before = cpuS(pids)
    const { mbps, bytes } = await traffic.tcp({ flows: 1, isBackwards: false, seconds })
    const usedS = cpuS(pids) - before
    return { tcp1ThereMbps: mbps, ...(pids.length === 0 ? {} : { cpuSPerGb: usedS / (bytes / 1e9) }) }
  }

  async #tcp(traffic: Traffic, id: MeasureId, flows: number, isBackwards: boolean): Promise<Values> {
    const { seconds } = this.#options
    return { [id]: (await traffic.tcp({ flows, isBackwards, seconds })).mbps }
  }

  async #udp(traffic: Traffic, id: MeasureId, payloadBytes: number): Promise<Values> {
    const run = (rate: number, seconds: number) => traffic.udp(payloadBytes, rate, seconds)
    const rate = await searchRate(run, this.#options.search)
    if (rate === undefined) throw new Error('no rate without much loss')
    return { [id]: rate / 1000 }
  }

  /** From the start of one end to the first answered ping, handshake included; the other end waits. */
  measureStart(daemon: Daemon): Promise<Values> {
    return withLab(async (lab) => {
      const { left, right } = layBed(lab)
      await right.up(daemon, configFile(lab, right.config(left, 1)))
      // Named after the interface, as wg-quick wants it.
      const quickFile = join(lab.directory, `${left.interfaceName}.conf`)
      writeFileSync(quickFile, `${left.quickConfig(right).join('\n')}\n`, { mode: 0o600 })
      const beginMs = performance.now()
      await daemon.up(left.host, quickFile)
      await untilAnswered(left.host, right.inner)
      return { upMs: performance.now() - beginMs }
    })
  }

  measureManyPeersMemory(daemon: Daemon): Promise<Values> {
    return withLab(async (lab) => {
      const { left, right } = layBed(lab)
      const lines = [...left.config(right, 1), ...idlePeers(MANY_PEERS - 1)]
      await left.up(daemon, configFile(lab, lines))
      return { manyPeersMemoryMib: memoryOf(left.host.daemonPids()).nowMib }
    })
  }
}

async function idlePing(traffic: Traffic): Promise<Values> {
  const { medianMs, p99Ms } = await traffic.ping()
  return { idlePingMs: medianMs, idlePingP99Ms: p99Ms }
}

async function loadedPing(traffic: Traffic): Promise<Values> {
  const { medianMs, p99Ms } = await traffic.pingUnderLoad()
  return { loadedPingMs: medianMs, loadedPingP99Ms: p99Ms }
}

/** Of the two ends the one that needs more. */
function largerMemory(daemons: readonly (readonly number[])[]): Values {
  const ends = daemons.map(memoryOf)
  return {
    memoryMib: Math.max(...ends.map(({ nowMib }) => nowMib)),
    peakMemoryMib: Math.max(...ends.map(({ peakMib }) => peakMib)),
  }
}
