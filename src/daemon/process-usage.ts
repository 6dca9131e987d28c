/** What this process takes of the machine. */

export interface ProcessUsage {
  readonly pid: number
  /** Resident. */
  readonly memoryBytes: number
  /** Seconds of processor time since its start. */
  readonly cpuS: number
}

export function processUsage(): ProcessUsage {
  const { user, system } = process.cpuUsage()
  return {
    pid: process.pid,
    memoryBytes: process.memoryUsage.rss(),
    cpuS: Math.round((user + system) / 1e4) / 100,
  }
}
