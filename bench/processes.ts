/** What the kernel says about running daemons: time on the cores, and memory. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Bed } from './bed.js'

const CLOCK_TICKS_PER_S = 100 // USER_HZ on every Linux that Node runs on

export interface Memory {
  readonly nowMib: number
  readonly peakMib: number
}

/** Process ids of the daemons, one list per end. Ask while nothing else runs in the bed. */
export function daemonsOf({ left, right }: Bed): number[][] {
  return [left.host.daemonPids(), right.host.daemonPids()]
}

/** CPU seconds that these processes have used so far. */
export function cpuS(pids: readonly number[]): number {
  return pids.map(cpuSOf).reduce((sum, seconds) => sum + seconds, 0)
}

/** From schedstat, to the nanosecond; where the kernel has none, from stat, to the tick. */
function cpuSOf(pid: number): number {
  if (!existsSync(`/proc/${pid}/schedstat`)) return tickedCpuS(pid)
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9)
    .reduce((sum, seconds) => sum + seconds, 0)
}

function tickedCpuS(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // Fields 14 and 15; the name in brackets before them may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_S
}

export function memoryOf(pids: readonly number[]): Memory {
  const statuses = pids.map((pid) => readFileSync(`/proc/${pid}/status`, 'utf8'))
  return { nowMib: sumMib(statuses, 'VmRSS'), peakMib: sumMib(statuses, 'VmHWM') }
}

function sumMib(statuses: readonly string[], field: string): number {
  const kib = statuses.map((status) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]))
  return kib.reduce((sum, value) => sum + value, 0) / 1024
}
