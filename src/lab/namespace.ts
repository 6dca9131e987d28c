/**
 * Network namespaces of a laboratory: machines that share this one's kernel and files, nothing else.
 *
 * INVARIANT: what a laboratory makes carries its name, and ends with it: processes, links, rules, files.
 */

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { AppError, ERROR_CODES } from '../base/errors.js'

const execute = promisify(execFile)
const MAX_OUTPUT_BYTES: number = 8 * 1024 * 1024
const KILL_ROUNDS = 50

export class Namespace {
  readonly name: string
  readonly #children = new Set<ChildProcess>()

  /** Throws AppError. */
  constructor(name: string) {
    this.name = name
    ip('netns', 'add', name)
    // Whoever runs inside sees this as /etc/resolv.conf, and may change it without harm to this machine.
    mkdirSync(this.#etc, { recursive: true })
    writeFileSync(join(this.#etc, 'resolv.conf'), '')
    this.runSync('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
    const quick = ['net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0']
    const loose = ['net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0']
    this.runSync('sysctl', '-qw', ...quick, ...loose)
    this.ip('link', 'set', 'lo', 'up')
  }

  /** The `ip` program inside. */
  ip(...words: readonly string[]): void {
    ip('-n', this.name, ...words)
  }

  /** To its end, with what it printed. Throws AppError. */
  runSync(...words: readonly string[]): string {
    return runProgram('ip', ['netns', 'exec', this.name, ...words])
  }

  /** The same without waiting in line; gives the exit code instead of failing. */
  async run(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunOutcome> {
    const options = { maxBuffer: MAX_OUTPUT_BYTES, env: { ...process.env, ...env } }
    try {
      const { stdout, stderr } = await execute('ip', ['netns', 'exec', this.name, ...words], options)
      return { code: 0, stdout, stderr }
    } catch (error) {
      const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string }
      return { code: typeof code === 'number' ? code : 1, stdout, stderr }
    }
  }

  /** A program that stays; `onLine` hears what it prints. */
  start(words: readonly string[], onLine: (line: string) => void = () => undefined): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.name, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    const read = (chunk: Buffer): void => {
      for (const line of chunk.toString().split('\n')) if (line !== '') onLine(line)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    return child
  }

  /** Replaces all rules of packet filter and address translation. */
  setRules(ruleset: string): void {
    runProgram('ip', ['netns', 'exec', this.name, 'nft', '-f', '-'], `flush ruleset\n${ruleset}\n`)
  }

  /** Beside the rules that there are. */
  addRules(rules: string): void {
    runProgram('ip', ['netns', 'exec', this.name, 'nft', '-f', '-'], `${rules}\n`)
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    let pids = pidsIn(this.name)
    for (let round = 0; pids.length > 0 && round < KILL_ROUNDS; round++) {
      for (const pid of pids) tryKill(pid)
      pids = pidsIn(this.name)
    }
    ip('netns', 'del', this.name)
    rmSync(this.#etc, { recursive: true, force: true })
  }

  get #etc(): string {
    return join('/etc/netns', this.name)
  }
}

export interface RunOutcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Joins two namespaces by a pair of links. */
export function connect(
  left: { readonly in: Namespace; readonly name: string; readonly addresses: readonly string[] },
  right: { readonly in: Namespace; readonly name: string; readonly addresses: readonly string[] },
): void {
  const peer = ['type', 'veth', 'peer', 'name', right.name, 'netns', right.in.name]
  left.in.ip('link', 'add', 'name', left.name, ...peer)
  for (const end of [left, right]) {
    for (const address of end.addresses) {
      end.in.ip('addr', 'add', address, 'dev', end.name, ...(address.includes(':') ? ['nodad'] : []))
    }
    end.in.ip('link', 'set', end.name, 'up')
  }
}

function ip(...words: readonly string[]): void {
  runProgram('ip', words)
}

function pidsIn(name: string): number[] {
  return runProgram('ip', ['netns', 'pids', name]).split('\n').filter(Boolean).map(Number)
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself meanwhile.
  }
}

function runProgram(program: string, words: readonly string[], input = ''): string {
  try {
    return execFileSync(program, words, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] })
  } catch (error) {
    const { code, stderr = '' } = error as { code?: string; stderr?: string }
    const line = `${program} ${words.join(' ')}`
    const isMissing = code === 'ENOENT'
    throw new AppError(
      ERROR_CODES.command,
      `${line}: ${isMissing ? 'the program is missing' : stderr.trim()}`,
      {
        hint: 'a laboratory needs root and the programs ip and nft: apt-get install -y iproute2 nftables',
        cause: error,
      },
    )
  }
}
