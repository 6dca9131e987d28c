/**
 * Names of what a lab makes, and its removal by name alone.
 *
 * Each name holds the id of the process that made it. What a test run left when it was killed can
 * therefore be told from what a living one uses, and the next run removes it.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const DIRECTORIES = ['/var/run/wireguard', '/run/overlay', '/var/log/overlay', '/var/lib/overlay']
const NAMESPACE_DIRECTORY = '/var/run/netns'
const NAMESPACE = /^ovl([0-9a-z]+)-\d+-/
const INTERFACE = /^o([0-9a-z]+)n\d+$/

/** A round starts a program, so this many take seconds. */
const KILL_ROUNDS = 1000

let labsMade = 0
let interfacesMade = 0

/** Prefix of the namespaces of one lab. */
export function nextLabName(): string {
  if (labsMade === 0) removeTracesOfTheDead()
  labsMade += 1
  return `ovl${process.pid.toString(36)}-${labsMade}`
}

/** At most 15 characters. */
export function nextInterfaceName(): string {
  interfacesMade += 1
  return `o${process.pid.toString(36)}n${interfacesMade}`
}

export function pidsIn(namespace: string): number[] {
  const text = execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' })
  return text.split('\n').filter(Boolean).map(Number)
}

/** Empty if it ended meanwhile. */
export function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return ''
  }
}

/** Ends all processes of the namespace and removes it with everything in it. */
export function removeNamespace(namespace: string): void {
  // Again and again: one that is on its way out is still there, and may have made another.
  let pids = pidsIn(namespace)
  for (let round = 0; pids.length > 0 && round < KILL_ROUNDS; round++) {
    for (const pid of pids) tryKill(pid)
    pids = pidsIn(namespace)
  }
  execFileSync('ip', ['netns', 'del', namespace])
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself meanwhile.
  }
}

/** Removes files that daemons leave when they are killed, and logs. */
export function removeFilesOf(isWanted: (interfaceName: string) => boolean): void {
  for (const directory of DIRECTORIES) {
    const names = existsSync(directory) ? readdirSync(directory) : []
    for (const name of names.filter((file) => isWanted(file.split('.')[0] ?? ''))) {
      rmSync(join(directory, name), { recursive: true, force: true })
    }
  }
}

function removeTracesOfTheDead(): void {
  const namespaces = existsSync(NAMESPACE_DIRECTORY) ? readdirSync(NAMESPACE_DIRECTORY) : []
  for (const namespace of namespaces.filter((name) => isOfTheDead(name, NAMESPACE))) {
    try {
      removeNamespace(namespace)
    } catch (error) {
      // Another test run may have been faster.
      if (existsSync(join(NAMESPACE_DIRECTORY, namespace))) throw error
    }
  }
  removeFilesOf((name) => isOfTheDead(name, INTERFACE))
}

function isOfTheDead(name: string, pattern: RegExp): boolean {
  const pid = pattern.exec(name)?.[1]
  return pid !== undefined && !existsSync(`/proc/${Number.parseInt(pid, 36)}`)
}
