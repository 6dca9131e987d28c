/** What must be reached, measured: each case with its aim beside it. */

import { type FaultResult, measureRestrictions } from './faults.js'
import { Internet } from './internet.js'
import {
  measureHubDeath,
  measureIdleRemoval,
  measureInterruptions,
  measureRelayDeath,
} from './interruptions.js'
import { measurePair, type PairOptions, type PairResult, percentile } from './matrix.js'
import { measureMesh } from './mesh.js'
import { LabNetwork } from './network.js'
import type { Fault, RouterKind } from './routers.js'
import { measureSessionTable } from './session-table.js'
import { measureColdStarts, measureDaemonRestarts, measureOffice, measureRelayOutage } from './starts.js'
import { measureBesideRelay, measureTcpFlow } from './throughput.js'

export interface BenchRow {
  readonly name: string
  readonly result: string
  readonly aim: string
}

interface PairCase {
  readonly pair: readonly [RouterKind, RouterKind]
  readonly aim: string
  readonly more?: Partial<PairOptions>
}

const PAIRS: readonly PairCase[] = [
  { pair: ['fullCone', 'portRestricted'], aim: '100 %, p95 80 ms' },
  { pair: ['portRestricted', 'portRestricted'], aim: '100 %, p95 80 ms' },
  { pair: ['carrierDouble', 'carrierDouble'], aim: '100 %, p95 80 ms' },
  { pair: ['symmetricRandom', 'symmetricRandom'], aim: '100 % over IPv6, p95 80 ms', more: { hasV6: true } },
  {
    pair: ['symmetricRandom', 'symmetricRandom'],
    aim: '100 % by UPnP of one router, p95 80 ms',
    more: { mapping: 'upnp' },
  },
  {
    pair: ['portRestricted', 'portRestricted'],
    aim: '20 % loss: 100 %, p95 1.5 s',
    more: { lossPercent: 20 },
  },
  { pair: ['portRestricted', 'symmetricRandom'], aim: '95 % in 2 s, 1500 packets' },
  { pair: ['portRestricted', 'symmetricSequential'], aim: '98 % in 500 ms' },
  {
    pair: ['portRestricted', 'symmetricSequential'],
    aim: '98 % in 500 ms',
    more: { foreignFlowsPerS: 200 },
  },
  { pair: ['carrierBlock', 'carrierBlock'], aim: '90 % in 2 s' },
  { pair: ['addressDependent', 'symmetricRandom'], aim: '90 % in 2 s' },
  { pair: ['addressDependent', 'addressDependent'], aim: '90 % in 2 s' },
  { pair: ['answering', 'symmetricRandom'], aim: '95 % in 2 s' },
  { pair: ['answering', 'symmetricSequential'], aim: '98 % in 500 ms' },
  {
    pair: ['addressDependent', 'symmetricRandom'],
    aim: '90 % in 4 s, unseen by STUN',
    more: { hasOneAddress: true },
  },
  { pair: ['symmetricRandom', 'symmetricRandom'], aim: 'relay, 1100 probes at most', more: { tries: 2 } },
]
/** On networks that let all through, or all but this. */
const COLD_STARTS: readonly (Fault | undefined)[] = [
  undefined,
  'udpBlocked',
  'tls443Only',
  'handshakesDropped',
  'wireguardDropped',
  'stunDropped',
]
/** All of its pairs can be direct. */
const MESH: readonly RouterKind[] = [
  'answering',
  'symmetricRandom',
  'fullCone',
  'portRestricted',
  'portRestricted',
]
const RTT_MS = 40
const INTERNET = { rttMs: RTT_MS, lossPercent: 0 } as const

/** Each takes 22 s. */
const MAX_RESTARTS = 10

export interface BenchOptions {
  readonly tries: number
  /** With what takes ten minutes. */
  readonly isLong: boolean
}

/** `onRow`: hears of each as it is done. */
export async function runLabBench(
  { tries, isLong }: BenchOptions,
  onRow: (row: BenchRow) => void,
): Promise<void> {
  onRow(await measureFirstPacket())
  for (const { pair, aim, more } of PAIRS) {
    const result = await measurePair(pair[0], pair[1], { ...INTERNET, tries, ...more })
    onRow({ name: result.pair, result: describePair(result), aim })
  }
  onRow(await benchMesh())
  for (const result of await measureRestrictions(INTERNET)) {
    onRow({ ...rowOf(result, '1 s'), name: `first data: ${result.name}` })
  }
  for (const result of await measureInterruptions(INTERNET)) {
    onRow(rowOf(result, result.name.endsWith('again') ? '10 s' : 'gap 1 s'))
  }
  for (const fault of COLD_STARTS) {
    onRow(rowOf(await measureColdStarts({ ...INTERNET, tries, ...(fault && { fault }) }), '1 s'))
  }
  onRow(rowOf(await measureOffice(INTERNET), '1 s'))
  onRow(rowOf(await measureDaemonRestarts({ ...INTERNET, tries: Math.min(tries, MAX_RESTARTS) }), '1 s'))
  onRow(rowOf(await measureRelayDeath(INTERNET), 'gap 2 s'))
  onRow(rowOf(await measureIdleRemoval(INTERNET), '15 s and a round trip'))
  onRow(rowOf(await measureRelayOutage(INTERNET), '1 s'))
  onRow(await benchSessionTable(['symmetricRandom', 'portRestricted'], tries))
  onRow(await benchSessionTable(['portRestricted', 'symmetricRandom'], tries))
  if (isLong) await benchHubDeath(onRow)
  onRow({ ...(await measureTcpFlow('relay')), aim: '400 Mbit/s' })
  onRow({ ...(await measureTcpFlow('tcp')), aim: 'not asked for' })
  onRow({ ...(await measureBesideRelay()), aim: 'as beside data that goes directly' })
}

async function benchMesh(): Promise<BenchRow> {
  const pairs = await measureMesh(MESH, INTERNET)
  const direct = pairs.flatMap(({ ms }) => ms ?? []).sort((x, y) => x - y)
  const slowest = direct.at(-1)
  const result = `${direct.length} of ${pairs.length} pairs${slowest === undefined ? '' : `, the last after ${slowest} ms`}`
  return { name: 'five that talk to each other at once', result, aim: 'all pairs in 15 s' }
}

async function benchSessionTable(pair: readonly [RouterKind, RouterKind], tries: number): Promise<BenchRow> {
  const { refused, lost, begun, connected, direct } = await measureSessionTable(pair, INTERNET, tries)
  const left = `${connected} of ${begun} connections, ${lost} pings lost`
  const result = `${left}, ${Math.max(...refused)} refused at most, ${direct} of ${tries} direct`
  const name = `session table of 128: ${pair[0]} × ${pair[1]}`
  return { name, result, aim: 'all connections, none lost, 64 refused' }
}

async function benchHubDeath(onRow: (row: BenchRow) => void): Promise<void> {
  const [kept, answer, direct] = await measureHubDeath(INTERNET)
  if (kept !== undefined) onRow(rowOf(kept, 'gap 1 s, in 10 minutes'))
  if (answer !== undefined) onRow(rowOf(answer, '1 s, after 10 minutes'))
  if (direct !== undefined) onRow(rowOf(direct, '10 s'))
}

function rowOf({ name, ms, how }: FaultResult, aim: string): BenchRow {
  return { name, result: `${ms === null ? 'never' : `${ms} ms`}, ${how}`, aim }
}

/** To a node that was never talked to: handshake and answer go over the relay. */
async function measureFirstPacket(): Promise<BenchRow> {
  const internet = await Internet.open(INTERNET)
  try {
    const network = await LabNetwork.start(internet)
    const a = await network.addNode(internet.addSite('portRestricted'), 'a')
    const b = await network.addNode(internet.addSite('portRestricted'), 'b')
    await Promise.all([a.up(), b.up()])
    await a.untilKnown('b')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const { stdout } = await a.ping('b', '--count', '1', '--json')
    const { replies } = JSON.parse(stdout) as { replies: { rttMs: number | null }[] }
    const rttMs = replies[0]?.rttMs ?? null
    const result = rttMs === null ? 'never' : `answered after ${Math.round(rttMs)} ms`
    // The relay is half a round trip from either side: there and back are two, as is the handshake.
    return { name: 'first packet to a new node', result, aim: `${4 * RTT_MS} ms, and handshake` }
  } finally {
    internet.close()
  }
}

function describePair({ direct, tries, timesMs, probes }: PairResult): string {
  const ms = (percent: number): string => `${Math.round(percentile(timesMs, percent) ?? Number.NaN)} ms`
  const times = timesMs.length === 0 ? '' : `, median ${ms(50)}, p95 ${ms(95)}`
  return `${direct} of ${tries}${times}, ${probes} probes`
}
