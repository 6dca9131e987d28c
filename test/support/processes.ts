/**
 * Runs programs for tests: to their end with a deadline, or in the background until stopped.
 *
 * INVARIANT: nothing waits for ever and nothing collects output without bound. Processes are ended
 * by their own id. A command is a list of words, or one line that is split at spaces.
 */

import { type ChildProcess, spawn } from 'node:child_process'

export type Command = string | readonly string[]

export interface RunOptions {
  /** Default 60 s; then the program is killed and the run fails. */
  readonly timeoutMs?: number
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
}

export interface RunResult {
  readonly command: string
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const MAX_OUTPUT_CHARS = 4 << 20
/** Reached only by what hangs, however slow the machine. */
const LIMIT_MS = 60_000

function wordsOf(command: Command): readonly string[] {
  return typeof command === 'string' ? command.split(' ').filter(Boolean) : command
}

function launch(prefix: readonly string[], command: Command, options: RunOptions): ChildProcess {
  const [program = '', ...args] = [...prefix, ...wordsOf(command)]
  const env = { ...process.env, LC_ALL: 'C', ...options.env }
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  // A program that ends without reading its input is no fault of the test.
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.input)
  return child
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = ''
  stream?.setEncoding('utf8')
  stream?.on('data', (chunk: string) => {
    if (text.length < MAX_OUTPUT_CHARS) text += chunk
  })
  return () => text
}

/** `prefix`: words put before the command, for instance to enter a namespace. */
export function execute(
  prefix: readonly string[],
  command: Command,
  options: RunOptions = {},
): Promise<RunResult> {
  const timeoutMs = options.timeoutMs ?? LIMIT_MS
  const line = wordsOf(command).join(' ')
  return new Promise((resolve, reject) => {
    const child = launch(prefix, command, options)
    const stdout = collect(child.stdout)
    const stderr = collect(child.stderr)
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      // A daemon that kept our pipes open would hold back the end for ever.
      child.stdout?.destroy()
      child.stderr?.destroy()
      reject(new Error(`no end within ${timeoutMs} ms: ${line}\n${stdout()}${stderr()}`))
    }, timeoutMs)
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ command: line, code: code ?? -1, stdout: stdout(), stderr: stderr() })
    })
  })
}

/** A program that runs beside the test. */
export class BackgroundProcess {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #stdout: () => string
  readonly #stderr: () => string
  readonly #ended: Promise<number>

  constructor(prefix: readonly string[], command: Command, options: RunOptions = {}) {
    this.#child = launch(prefix, command, options)
    this.pid = this.#child.pid ?? -1
    this.#stdout = collect(this.#child.stdout)
    this.#stderr = collect(this.#child.stderr)
    this.#ended = new Promise((resolve) => {
      this.#child.on('close', (code) => resolve(code ?? -1))
      this.#child.on('error', () => resolve(-1))
    })
  }

  stdout(): string {
    return this.#stdout()
  }

  stderr(): string {
    return this.#stderr()
  }

  /** Waits for the program's own end; gives its exit code, -1 if a signal ended it. */
  end(timeoutMs: number = LIMIT_MS): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`process ${this.pid} still runs after ${timeoutMs} ms\n${this.stderr()}`)),
        timeoutMs,
      )
      this.#ended.then((code) => {
        clearTimeout(timer)
        resolve(code)
      }, reject)
    })
  }

  /** Asks the program to end and waits for it. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
    await this.end()
  }
}
