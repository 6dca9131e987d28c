/**
 * Who takes part: overlay in its kinds, every other userspace WireGuard at hand, and the ceilings.
 *
 * All tunnels are set up alike: the contender makes the interface and its UAPI socket, `wg` and `ip`
 * do the rest. Only the time up to the first answer is taken with what users type: `overlay up`, or
 * `wg-quick up`.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { overlay, overlayCommand, wireguardGo } from '../test/support/implementations.js'
import type { Host } from '../test/support/lab.js'
import { OptionError, type PeerOption } from './options.js'
import { UNSEALED_TREE } from './unsealed.js'

export interface Daemon {
  /** Makes the interface and its UAPI socket. */
  device(host: Host, interfaceName: string): Promise<void>
  /** Brings up a wg-quick style file as its users do. */
  up(host: Host, file: string): Promise<void>
}

export interface Contender {
  readonly name: string
  /** Undefined: no tunnel, the bare cable. */
  readonly daemon?: Daemon
  /** Peers of each end's interface. With more than one, all that is measured is one TCP flow. */
  readonly peers: number
}

export const OVERLAY: string = overlay.name
export const MANY_PEERS = 1000
export const OVERLAY_MANY_PEERS: string = `overlay with ${MANY_PEERS} peers`
export const OVERLAY_UNSEALED = 'overlay unsealed'
export const WIREGUARD_GO: string = wireguardGo.name

const START_TIMEOUT_MS = 60_000

export function listContenders(peers: readonly PeerOption[]): Contender[] {
  const native = overlayDaemon(overlayCommand, 'native')
  return [
    tunnel(OVERLAY, native),
    // Right after the one it is compared with.
    { name: OVERLAY_MANY_PEERS, daemon: native, peers: MANY_PEERS },
    tunnel('overlay portable', overlayDaemon(overlayCommand, 'portable')),
    ...peers.map(({ name, command }) => tunnel(name, peerDaemon(command))),
    tunnel(OVERLAY_UNSEALED, overlayDaemon(join(UNSEALED_TREE, 'bin/overlay'), 'native')),
    { name: 'raw veth', peers: 0 },
  ]
}

/** `names`: empty for all. */
export function selectContenders(all: readonly Contender[], names: readonly string[]): Contender[] {
  const unknown = names.filter((name) => !all.some((contender) => contender.name === name))
  if (unknown.length > 0) {
    const known = all.map(({ name }) => name).join(', ')
    throw new OptionError(`no such contender: ${unknown.join(', ')}; there are: ${known}`)
  }
  return all.filter(({ name }) => names.length === 0 || names.includes(name))
}

function tunnel(name: string, daemon: Daemon): Contender {
  return { name, daemon, peers: 1 }
}

function overlayDaemon(command: string, dataPlane: 'native' | 'portable'): Daemon {
  const options = { timeoutMs: START_TIMEOUT_MS, env: { OVERLAY_DATAPLANE: dataPlane } }
  return {
    device: async (host, interfaceName) => {
      await host.run([command, 'device', interfaceName], options)
      await requireDataPlane(command, host, interfaceName, dataPlane)
    },
    up: async (host, file) => void (await host.run([command, 'up', file], options)),
  }
}

/** A figure under the wrong name would be worse than none. */
async function requireDataPlane(
  command: string,
  host: Host,
  interfaceName: string,
  expected: string,
): Promise<void> {
  const report = await host.run([command, 'status', interfaceName, '--json'])
  const { interfaces } = JSON.parse(report) as { interfaces: { dataPlane: string | null }[] }
  const actual = interfaces[0]?.dataPlane ?? 'none'
  if (!actual.startsWith(`${expected}, `)) throw new Error(`${interfaceName} runs ${actual}, not ${expected}`)
}

function peerDaemon(command: readonly string[]): Daemon {
  return {
    device: async (host, interfaceName) =>
      void (await host.run([...command, interfaceName], { timeoutMs: START_TIMEOUT_MS })),
    up: async (host, file) => {
      // wg-quick wants a single word.
      const launcher = `${file}.sh`
      const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`)
      writeFileSync(launcher, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, { mode: 0o700 })
      const env = { WG_QUICK_USERSPACE_IMPLEMENTATION: launcher }
      await host.run(['wg-quick', 'up', file], { timeoutMs: START_TIMEOUT_MS, env })
      if (host.daemonPids().length === 0) throw new Error('wg-quick took the kernel instead')
    },
  }
}
