/**
 * The bench's own programs: builds them, and runs the micro-benches, bench/native/*-bench.cc. Each of
 * these is linked with the native core, without Node, and prints one JSON object.
 */

import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'

export interface MicroResult {
  readonly name: string
  /** As the program printed them. */
  readonly figures: unknown
}

const SOURCES: string = resolve('bench/native')
const PROGRAMS: string = resolve('build/bench/native')
const BUILD_TIMEOUT_MS = 600_000
const RUN_TIMEOUT_MS = 120_000

export function buildGenerator(): void {
  make('generator')
}

/** `onFailure`: one that fails keeps the others from nothing. */
export function runMicroBenches(onFailure: (text: string) => void): MicroResult[] {
  try {
    const names = make('list').split(/\s+/).filter(Boolean)
    make('benches')
    return names.flatMap((name) => runOne(name, onFailure))
  } catch (error) {
    onFailure(`micro-benches: ${error instanceof Error ? error.message : String(error)}`)
    return []
  }
}

function runOne(name: string, onFailure: (text: string) => void): MicroResult[] {
  try {
    const result = spawnSync(join(PROGRAMS, name), { encoding: 'utf8', timeout: RUN_TIMEOUT_MS })
    return [{ name, figures: JSON.parse(outputOf(name, result)) }]
  } catch (error) {
    onFailure(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    return []
  }
}

function make(target: string): string {
  const args = ['-s', '-C', SOURCES, `-j${availableParallelism()}`, target]
  return outputOf(`make ${target}`, spawnSync('make', args, { encoding: 'utf8', timeout: BUILD_TIMEOUT_MS }))
}

function outputOf(what: string, { status, stdout, stderr, error }: SpawnSyncReturns<string>): string {
  if (status === 0) return stdout
  throw new Error(`${what} failed${error === undefined ? '' : `: ${error.message}`}\n${stderr}`)
}
