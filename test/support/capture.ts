/**
 * Records packets of one interface and reads the record back with tshark.
 *
 * INVARIANT: every packet the interface saw between start() and stop() is in the file.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Host, type Lab, until } from './lab.js'
import { type BackgroundProcess, execute } from './processes.js'

export const CAPTURE_PROGRAMS: readonly string[] = ['tcpdump', 'tshark']
let capturesMade = 0

export class Capture {
  readonly file: string
  readonly #process: BackgroundProcess
  #isRunning = true

  private constructor(file: string, process: BackgroundProcess) {
    this.file = file
    this.#process = process
  }

  /** `filter`: tcpdump's language. Returns when the capture runs. */
  static async start(lab: Lab, host: Host, interfaceName: string, filter = ''): Promise<Capture> {
    capturesMade += 1
    const file = join(lab.directory, `capture-${capturesMade}.pcap`)
    const process = host.start(
      `tcpdump -i ${interfaceName} -B 16384 -s 0 -U -n --immediate-mode -Z root -w ${file} ${filter}`,
    )
    await until('tcpdump listens', () => process.stderr().includes('listening on'))
    return new Capture(file, process)
  }

  async stop(): Promise<void> {
    // It ends at once and drops what it has not read yet; it sleeps only when there is no such thing.
    await until('tcpdump has read all', () => isAsleep(this.#process.pid))
    await this.#process.stop('SIGINT')
    this.#isRunning = false
  }

  bytes(): Buffer {
    return readFileSync(this.file)
  }

  /** One row per packet that `filter` (tshark's language) selects, with the fields asked for. */
  async rows(fields: readonly string[], filter = '', options: readonly string[] = []): Promise<string[][]> {
    const wanted = fields.flatMap((field) => ['-e', field])
    const selected = filter === '' ? [] : ['-Y', filter]
    const command = ['-r', this.file, '-T', 'fields', ...wanted, ...selected, ...options]
    const result = await execute(['tshark', '-n'], command, { timeoutMs: 60_000 })
    // The last packet of a record that still grows may be there in part.
    const isCut = this.#isRunning && result.stderr.includes('cut short')
    if (result.code !== 0 && !isCut) throw new Error(`tshark: ${result.stderr}`)
    return result.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('\t'))
  }
}

/** Whether a process waits for something to come. */
function isAsleep(pid: number): boolean {
  return / \(.*\) S /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
}
