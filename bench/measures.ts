/**
 * The list of what is measured: names, units and how each figure is written. One sample holds the
 * values of one contender in one round, under these ids.
 */

interface Measure {
  readonly id: MeasureId
  readonly title: string
  readonly digits: number
}

export type MeasureId =
  | 'tcp1ThereMbps'
  | 'tcp1BackMbps'
  | 'tcp4ThereMbps'
  | 'tcp4BackMbps'
  | 'tcp1PlainMbps'
  | 'udp64Kpps'
  | 'udp1392Kpps'
  | 'idlePingMs'
  | 'idlePingP99Ms'
  | 'loadedPingMs'
  | 'loadedPingP99Ms'
  | 'cpuSPerGb'
  | 'memoryMib'
  | 'peakMemoryMib'
  | 'upMs'
  | 'manyPeersMemoryMib'

export type Sample = Readonly<Partial<Record<MeasureId, number>>>

/** Contender → its samples, one per round. */
export type Samples = ReadonlyMap<string, readonly Sample[]>

export interface MeasureGroup {
  readonly title: string
  /** Put before a measure's title where groups are mixed. */
  readonly label: string
  readonly measures: readonly Measure[]
}

export const GROUPS: readonly MeasureGroup[] = [
  {
    title: 'TCP throughput, Mbit/s',
    label: 'TCP ',
    measures: [
      { id: 'tcp1ThereMbps', title: '1 flow A→B', digits: 0 },
      { id: 'tcp1BackMbps', title: '1 flow B→A', digits: 0 },
      { id: 'tcp4ThereMbps', title: '4 flows A→B', digits: 0 },
      { id: 'tcp4BackMbps', title: '4 flows B→A', digits: 0 },
      { id: 'tcp1PlainMbps', title: '1 flow A→B, no offloads', digits: 0 },
    ],
  },
  {
    title: 'UDP packets at less than 1 % loss, thousands per second',
    label: 'UDP ',
    measures: [
      { id: 'udp64Kpps', title: '64 B', digits: 1 },
      { id: 'udp1392Kpps', title: '1392 B', digits: 1 },
    ],
  },
  {
    title: 'Round trip, ms',
    label: 'ping ',
    measures: [
      { id: 'idlePingMs', title: 'idle median', digits: 2 },
      { id: 'idlePingP99Ms', title: 'idle p99', digits: 2 },
      { id: 'loadedPingMs', title: 'loaded median', digits: 2 },
      { id: 'loadedPingP99Ms', title: 'loaded p99', digits: 2 },
    ],
  },
  {
    title: 'CPU, memory, start',
    label: '',
    measures: [
      { id: 'cpuSPerGb', title: 'CPU s/GB', digits: 2 },
      { id: 'memoryMib', title: 'memory, MiB', digits: 0 },
      { id: 'peakMemoryMib', title: 'peak memory, MiB', digits: 0 },
      { id: 'manyPeersMemoryMib', title: 'memory with 1000 peers, MiB', digits: 0 },
      { id: 'upMs', title: 'up to first answer, ms', digits: 0 },
    ],
  },
]
