/**
 * Small networks for tests: network namespaces joined by veth pairs, and the programs inside them.
 *
 * INVARIANT: whatever a Lab makes is gone after close(), and close() also runs when the test process
 * exits early. Names are unique on the machine, because the WireGuard socket directory is shared by
 * all namespaces. Nothing here sleeps: until() polls a condition against a deadline.
 */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  nameOf,
  nextInterfaceName,
  nextLabName,
  pidsIn,
  removeFilesOf,
  removeNamespace,
} from './lab-traces.js'
import { BackgroundProcess, type Command, execute, type RunOptions, type RunResult } from './processes.js'

const GUARD_NAME = 'overlay-guard'
const POLL_INTERVAL_MS = 25
/** Reached only by what never comes, however slow the machine. */
const DEADLINE_MS = 60_000

/** Waits until `condition` gives something other than false or undefined, and gives that. */
export async function until<T>(
  what: string,
  condition: () => Promise<T | false | undefined> | T | false | undefined,
  deadlineMs: number = DEADLINE_MS,
): Promise<T> {
  const endMs = performance.now() + deadlineMs
  for (;;) {
    const value = await condition()
    if (value !== false && value !== undefined) return value
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS))
  }
}

/** One machine of a lab: a network namespace. */
export class Host {
  readonly name: string
  readonly #background = new Set<BackgroundProcess>()

  constructor(name: string) {
    this.name = name
    ip('netns', 'add', name)
    // Duplicate address detection would keep IPv6 addresses unusable for a second.
    const sysctls = ['net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0']
    execFileSync('ip', ['netns', 'exec', name, 'sysctl', '-qw', ...sysctls])
    ip('-n', name, 'link', 'set', 'lo', 'up')
  }

  /** Runs a command to its end; a failure throws with what it printed. Gives stdout. */
  async run(command: Command, options: RunOptions = {}): Promise<string> {
    const result = await this.tryRun(command, options)
    if (result.code === 0) return result.stdout
    throw new Error(
      `${this.name}: ${result.command} ended with ${result.code}\n${result.stdout}${result.stderr}`,
    )
  }

  /** Runs a command to its end, whatever that is. */
  tryRun(command: Command, options: RunOptions = {}): Promise<RunResult> {
    return execute(['ip', 'netns', 'exec', this.name], command, options)
  }

  /** Starts a command that stays; it is ended with the lab at the latest. */
  start(command: Command, options: RunOptions = {}): BackgroundProcess {
    const process = new BackgroundProcess(['ip', 'netns', 'exec', this.name], command, options)
    this.#background.add(process)
    return process
  }

  /** Processes in this namespace that put themselves into the background: daemons and their guards. */
  backgroundPids(): number[] {
    const started = new Set([...this.#background].map((process) => process.pid))
    return pidsIn(this.name).filter((pid) => !started.has(pid))
  }

  daemonPids(): number[] {
    return this.backgroundPids().filter((pid) => nameOf(pid) !== GUARD_NAME)
  }

  guardPids(): number[] {
    return this.backgroundPids().filter((pid) => nameOf(pid) === GUARD_NAME)
  }
}

/** Addresses with prefix length for the two ends of a cable. */
export interface Cable {
  readonly left: readonly string[]
  readonly right: readonly string[]
  /** Names of the two ends inside their namespaces. */
  readonly names?: readonly [string, string]
}

export class Lab {
  /** Private to the owner; removed with the lab. */
  readonly directory: string
  readonly #id: string
  readonly #hosts: Host[] = []
  readonly #interfaceNames: string[] = []
  #files = 0
  readonly #onExit = (): void => this.close()

  constructor() {
    this.#id = nextLabName()
    this.directory = mkdtempSync(join(tmpdir(), 'overlay-lab-'))
    process.once('exit', this.#onExit)
  }

  host(label: string): Host {
    const host = new Host(`${this.#id}-${label}`)
    this.#hosts.push(host)
    return host
  }

  /** Joins two hosts by a veth pair. */
  connect(left: Host, right: Host, cable: Cable): void {
    const [leftName, rightName] = cable.names ?? ['eth0', 'eth0']
    const peer = ['type', 'veth', 'peer', 'name', rightName, 'netns', right.name]
    ip('-n', left.name, 'link', 'add', leftName, ...peer)
    const ends: [Host, string, readonly string[]][] = [
      [left, leftName, cable.left],
      [right, rightName, cable.right],
    ]
    for (const [host, name, addresses] of ends) {
      ip('-n', host.name, 'link', 'set', name, 'up')
      for (const address of addresses) {
        const family = address.includes(':') ? ['nodad'] : []
        ip('-n', host.name, 'addr', 'add', address, 'dev', name, ...family)
      }
    }
  }

  /** An interface name (at most 15 characters) that nobody else on this machine uses. */
  interfaceName(): string {
    const name = nextInterfaceName()
    this.#interfaceNames.push(name)
    return name
  }

  /** Writes a new file that only its owner may read; gives its path. */
  file(text: string | Uint8Array): string {
    this.#files += 1
    const path = join(this.directory, `file-${this.#files}`)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }

  /** Idempotent, and synchronous so that it can run while the process exits. */
  close(): void {
    process.removeListener('exit', this.#onExit)
    for (const host of this.#hosts.splice(0)) removeNamespace(host.name)
    const names = new Set(this.#interfaceNames.splice(0))
    removeFilesOf((name) => names.has(name))
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** A lab for the length of one function. */
export async function withLab<T>(use: (lab: Lab) => Promise<T>): Promise<T> {
  const lab = new Lab()
  try {
    return await use(lab)
  } finally {
    lab.close()
  }
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
