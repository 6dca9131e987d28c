/**
 * Other processes: running a program or a shell line, and telling whether a process still lives.
 *
 * Programs run beside the event loop, never in its way: a hook may well talk to our own sockets.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { AppError, ERROR_CODES } from '../base/errors.js'

/** Searched after $PATH: a service's or user's $PATH often lacks the administrator's programs. */
const SYSTEM_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin']
const MAX_OUTPUT_CHARS = 4096
const PROGRAM_TIMEOUT_MS = 15_000

/** Absolute path of an executable, or undefined. */
export function tryFindProgram(name: string): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_DIRECTORIES]
  for (const directory of directories) {
    if (directory === '') continue
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // not in this directory
    }
  }
  return undefined
}

/** Runs a helper program to its end. Throws AppError with what it printed if it fails. */
export async function runProgram(path: string, args: readonly string[], input = ''): Promise<void> {
  const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: PROGRAM_TIMEOUT_MS })
  let output = ''
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-MAX_OUTPUT_CHARS)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.stdin.on('error', () => undefined) // the program may end without reading
  child.stdin.end(input)
  const failure = await endOf(child)
  if (failure === undefined) return
  const detail = output.trim()
  throw new AppError(ERROR_CODES.command, `\`${[path, ...args].join(' ')}\` ${failure}`, { hint: detail })
}

export interface ShellOptions {
  readonly outputFd: number
  /** In addition to our own; undefined takes one of ours away. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Aborting it ends the line and all it started, by force if it does not end in `graceMs`. */
  readonly signal?: AbortSignal | undefined
  readonly graceMs?: number
}

/** Shorter than the guard's patience with its helper (native/guard/main.cc). */
const HOOK_GRACE_MS = 5000

/**
 * Runs one shell line, as wg-quick does it: by bash, and the first command that
 * fails ends it. Its output goes to a file descriptor, not to a pipe: what it leaves running in the background keeps a
 * place to write to. Throws AppError
 * saying how it ended, without the line: that may hold a secret.
 */
export async function runShellLine(line: string, options: ShellOptions): Promise<void> {
  const { outputFd, environment, signal, graceMs = HOOK_GRACE_MS } = options
  if (signal?.aborted === true) throw new AppError(ERROR_CODES.command, 'was given up before it began')
  const bash = tryFindProgram('bash')
  const strictness = bash === undefined ? ['-e'] : ['-e', '-o', 'pipefail']
  const child = spawn(bash ?? '/bin/sh', [...strictness, '-c', line], {
    stdio: ['ignore', outputFd, outputFd],
    env: { ...process.env, ...environment },
    detached: true,
  })
  let force: NodeJS.Timeout | undefined
  const abort = (): void => {
    killGroup(child, 'SIGTERM')
    force = setTimeout(() => killGroup(child, 'SIGKILL'), graceMs)
  }
  signal?.addEventListener('abort', abort)
  const failure = await endOf(child)
  signal?.removeEventListener('abort', abort)
  clearTimeout(force)
  if (failure !== undefined) throw new AppError(ERROR_CODES.command, failure)
}

/** How a process ended if it did not end well. */
async function endOf(child: ChildProcess): Promise<string | undefined> {
  return await new Promise((resolve) => {
    child.on('error', (error) => resolve(`could not be started: ${error.message}`))
    child.on('exit', (code, signal) => {
      if (code === 0) resolve(undefined)
      else resolve(code === null ? `was ended by ${signal}` : `ended with exit code ${code}`)
    })
  })
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // it ended by itself meanwhile
  }
}

/** A process for ever: a number is used again some day, number and start time together never are. */
export interface ProcessId {
  readonly pid: number
  /** See tryProcessStart. */
  readonly processStart: string
}

/** Undefined if there is no such process. */
export function processId(pid: number): ProcessId | undefined {
  const processStart = tryProcessStart(pid)
  return processStart === undefined ? undefined : { pid, processStart }
}

export function isProcessAlive({ pid, processStart }: ProcessId): boolean {
  return tryProcessStart(pid) === processStart
}

/**
 * When a process started, in clock ticks since boot; undefined if there is none.
 */
export function tryProcessStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const isDead = fields[0] === 'Z' || fields[0] === 'X'
    return isDead ? undefined : fields[19] // field 22 of proc_pid_stat(5)
  } catch {
    return undefined
  }
}
