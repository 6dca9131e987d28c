/** What the figures depend on: the machine, the versions of the programs, and that they are there. */

import { execFileSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { availableParallelism, cpus, release } from 'node:os'
import { delimiter, join } from 'node:path'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly kernel: string
}

/** Program → Debian package. */
const NEEDED: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  ss: 'iproute2',
  sysctl: 'procps',
  ping: 'iputils-ping',
  ethtool: 'ethtool',
  wg: 'wireguard-tools',
  'wg-quick': 'wireguard-tools',
  iperf3: 'iperf3',
  make: 'build-essential',
  'g++': 'build-essential',
}

/** Debian packages to install. */
export function missingPackages(): string[] {
  const missing = Object.entries(NEEDED).filter(([program]) => !hasProgram(program))
  return [...new Set(missing.map(([, name]) => name))]
}

export function hasProgram(name: string): boolean {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return directories.some((directory) => isExecutable(join(directory, name)))
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    // Without what its builder added.
    kernel: `Linux ${/^[\d.]+/.exec(release())?.[0] ?? 'unknown'}`,
  }
}

export function versions(): Record<string, string> {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  return {
    overlay: version,
    node: process.versions.node,
    iperf3: programVersion('iperf3'),
    ...(hasProgram('wireguard-go') ? { 'wireguard-go': programVersion('wireguard-go') } : {}),
  }
}

function programVersion(program: string): string {
  const text = execFileSync(program, ['--version'], { encoding: 'utf8', timeout: 10_000 })
  return /\d+(\.\d+)+/.exec(text)?.[0] ?? 'unknown'
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
