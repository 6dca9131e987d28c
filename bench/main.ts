/**
 * Measures whole tunnels between two namespaces of this machine, beside other WireGuards and the
 * machine's own ceilings. See options.ts for its words and document.ts for what is measured.
 *
 * Contenders take turns within each round, because the machine's speed drifts. It ends by itself, and
 * leaves nothing behind, also when it is interrupted: every lab is removed as the process exits.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { dirname } from 'node:path'
import {
  type Contender,
  listContenders,
  OVERLAY_UNSEALED,
  selectContenders,
  WIREGUARD_GO,
} from './contenders.js'
import { type Circumstances, commandOf, performanceDocument } from './document.js'
import { hasProgram, machine, missingPackages, versions } from './machine.js'
import type { Sample } from './measures.js'
import { buildGenerator, type MicroResult, runMicroBenches } from './micro.js'
import { type BenchOptions, OptionError, type PeerOption, parseOptions, USAGE } from './options.js'
import { microTables, ratiosTo, summariesOf, tablesOf } from './report.js'
import { formatTable } from './table.js'
import { type TurnOptions, takeTurn, turnS } from './turn.js'
import { buildUnsealed } from './unsealed.js'

const DOCUMENT_PATH = 'docs/performance.md'
/** Switches that a caller may set for all of overlay's contenders. */
const PASSED_SWITCHES = ['OVERLAY_CRYPTO', 'OVERLAY_OFFLOADS', 'OVERLAY_AEAD']
const BUSY_LOAD = 0.5

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) {
    process.stdout.write(USAGE)
    return
  }
  requireMeans()
  const peers = peersAtHand(options.peers)
  const contenders = selectContenders(listContenders(peers), options.only)
  buildGenerator()
  if (contenders.some(({ name }) => name === OVERLAY_UNSEALED)) buildUnsealed()
  const failures: string[] = []
  const note = (failure: string): void => {
    failures.push(failure)
    say(`FAILED ${failure}`)
  }
  const loadBefore = loadavg()[0] ?? 0
  if (loadBefore > BUSY_LOAD) say(`the machine is not idle: its load is ${loadBefore.toFixed(2)}`)
  const samples = await runRounds(contenders, options, note)
  const micro = runMicroBenches(note)
  const circumstances = {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    versions: versions(),
    options,
    environment: passedSwitches(),
  }
  const anchors = [...peers.map(({ name }) => name), OVERLAY_UNSEALED]
  publish(circumstances, { samples, anchors, micro })
  const figures = figuresOf(circumstances, { samples, anchors, micro })
  mkdirSync(dirname(options.jsonPath), { recursive: true })
  writeFileSync(options.jsonPath, `${JSON.stringify({ ...figures, loadBefore, failures }, undefined, 2)}\n`)
  if (failures.length > 0) process.exitCode = 1
}

interface Outcome {
  readonly samples: ReadonlyMap<string, readonly Sample[]>
  readonly anchors: readonly string[]
  readonly micro: readonly MicroResult[]
}

function requireMeans(): void {
  if (process.getuid?.() !== 0) {
    throw new OptionError('the bench makes network namespaces and interfaces: run it as root')
  }
  const packages = missingPackages()
  if (packages.length > 0) {
    throw new OptionError(`programs are missing; type: apt-get install -y ${packages.join(' ')}`)
  }
}

/** Those asked for, and the installed wireguard-go unless another goes by its name. */
function peersAtHand(asked: readonly PeerOption[]): readonly PeerOption[] {
  const isTaken = asked.some(({ name }) => name === WIREGUARD_GO)
  if (isTaken || !hasProgram(WIREGUARD_GO)) return asked
  return [{ name: WIREGUARD_GO, command: [WIREGUARD_GO] }, ...asked]
}

async function runRounds(
  contenders: readonly Contender[],
  options: BenchOptions,
  note: (failure: string) => void,
): Promise<Map<string, Sample[]>> {
  const turn: TurnOptions = {
    seconds: options.seconds,
    search: { probeS: 0.3, confirmS: options.isQuick ? 1 : 2 },
  }
  const roundS = contenders.reduce((sum, contender) => sum + turnS(contender, turn), 0)
  const names = contenders.map(({ name }) => name).join(', ')
  say(`${names}: ${options.rounds} × ${Math.ceil(roundS)} s, about ${minutes(options.rounds * roundS)}`)
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]))
  const beginMs = performance.now()
  for (let round = 1; round <= options.rounds; round++) {
    for (const contender of contenders) {
      const { sample, failures } = await takeTurn(contender, turn)
      samples.get(contender.name)?.push(sample)
      for (const failure of failures) note(failure)
      const elapsed = minutes((performance.now() - beginMs) / 1000)
      say(`${elapsed}, round ${round}/${options.rounds}, ${contender.name}: ${oneLine(sample)}`)
    }
  }
  return samples
}

/** Tables to stdout and, if asked for, the document. */
function publish(circumstances: Circumstances, { samples, anchors, micro }: Outcome): void {
  const tables = tablesOf(samples, anchors)
  const parts = microTables(micro)
  process.stdout.write(`${[...tables, ...parts].map(formatTable).join('\n\n')}\n`)
  if (!circumstances.options.writesDocs) return
  writeFileSync(DOCUMENT_PATH, performanceDocument(circumstances, tables, parts))
}

function figuresOf(circumstances: Circumstances, { samples, anchors, micro }: Outcome): object {
  const { options, ...conditions } = circumstances
  return {
    ...conditions,
    command: commandOf(circumstances),
    rounds: options.rounds,
    seconds: options.seconds,
    summaries: summariesOf(samples),
    ratios: Object.fromEntries(anchors.map((anchor) => [anchor, ratiosTo(samples, anchor)])),
    samples: Object.fromEntries(samples),
    micro: Object.fromEntries(micro.map(({ name, figures }) => [name, figures])),
  }
}

function passedSwitches(): Record<string, string> {
  const entries = PASSED_SWITCHES.map((name) => [name, process.env[name]] as const)
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function oneLine(sample: Sample): string {
  return Object.entries(sample)
    .map(([id, value]) => `${id} ${Number(value.toPrecision(4))}`)
    .join(', ')
}

function minutes(seconds: number): string {
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.once(signal, () => process.exit(code))
}

try {
  await main()
} catch (error) {
  if (!(error instanceof OptionError)) throw error
  say(error.message)
  process.exitCode = 2
}
