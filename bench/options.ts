/**
 * The words after `npm run bench --`: text in, typed options out, defaults included.
 */

import { parseArgs } from 'node:util'

export interface PeerOption {
  readonly name: string
  /** Called with the interface's name as its last word. */
  readonly command: readonly string[]
}

export interface BenchOptions {
  readonly rounds: number
  /** Length of one TCP measurement, without its warm-up. */
  readonly seconds: number
  /** Contenders to run; empty: all. */
  readonly only: readonly string[]
  readonly peers: readonly PeerOption[]
  readonly isQuick: boolean
  readonly jsonPath: string
  readonly writesDocs: boolean
}

export class OptionError extends Error {}

export const USAGE: string = `npm run bench -- [options]    as root, while nothing else is busy

  --rounds N             rounds, in which all contenders take turns (default 5)
  --seconds N            length of a TCP measurement (default 5)
  --only NAME,NAME       these contenders only
  --peer NAME=COMMAND    one more userspace WireGuard, started as: COMMAND INTERFACE; repeatable
  --quick                a smoke run: 1 round, 2 seconds, short searches
  --json FILE            where the figures go (default build/bench/result.json)
  --write-docs           write docs/performance.md
  --help
`

const DEFAULT_JSON_PATH = 'build/bench/result.json'
const MAX_ROUNDS = 100
const MAX_SECONDS = 60

/** Undefined: help was asked for. */
export function parseOptions(words: readonly string[]): BenchOptions | undefined {
  const values = parseWords(words)
  if (values.help) return undefined
  const isQuick = values.quick
  return {
    rounds: parseCount('--rounds', values.rounds ?? (isQuick ? '1' : '5'), MAX_ROUNDS),
    seconds: parseCount('--seconds', values.seconds ?? (isQuick ? '2' : '5'), MAX_SECONDS),
    only: values.only.flatMap((names) => names.split(',')).map((name) => name.trim()),
    peers: values.peer.map(parsePeer),
    isQuick,
    jsonPath: values.json,
    writesDocs: values['write-docs'],
  }
}

function parseWords(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        only: { type: 'string', multiple: true, default: [] },
        peer: { type: 'string', multiple: true, default: [] },
        quick: { type: 'boolean', default: false },
        json: { type: 'string', default: DEFAULT_JSON_PATH },
        'write-docs': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error))
  }
}

function parseCount(option: string, text: string, max: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0
  if (count >= 1 && count <= max) return count
  throw new OptionError(`${option} takes a whole number from 1 to ${max}, not ${text}`)
}

function parsePeer(text: string): PeerOption {
  const split = text.indexOf('=')
  const name = text.slice(0, Math.max(split, 0)).trim()
  const command = text
    .slice(split + 1)
    .split(' ')
    .filter(Boolean)
  if (name !== '' && !name.includes(',') && command.length > 0) return { name, command }
  throw new OptionError(`--peer takes NAME=COMMAND, not ${text}`)
}
