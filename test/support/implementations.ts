/**
 * The WireGuard implementations under test, behind one interface, and the pairs tests run over.
 *
 * Every test is written for a pair [left, right]. With OVERLAY_INTEROP=stand-in the only pair is
 * wireguard-go with itself: that proves the tests, not the product.
 */

import { join } from 'node:path'
import type { Host } from './lab.js'

// Tests and benches run at the top of the checkout.
const BIN_DIRECTORY: string = join(process.cwd(), 'bin')
export const overlayCommand: string = join(BIN_DIRECTORY, 'overlay')
const UP_TIMEOUT_MS = 60_000

export interface Implementation {
  readonly name: string
  /** Brings up a wg-quick style file; its base name is the interface name. */
  up(host: Host, file: string): Promise<void>
  down(host: Host, file: string): Promise<void>
  /** Applies a changed file to the running interface. */
  reload(host: Host, file: string): Promise<void>
  /** Makes the interface and its UAPI socket, nothing else. */
  device(host: Host, interfaceName: string): Promise<void>
}

export const overlay: Implementation = overlayWith('overlay', {})

/** `env`: switches of the daemon, such as which data plane it runs. */
export function overlayWith(name: string, env: Readonly<Record<string, string>>): Implementation {
  const options = { timeoutMs: UP_TIMEOUT_MS, env }
  return {
    name,
    async up(host, file) {
      await host.run([overlayCommand, 'up', file], options)
    },
    async down(host, file) {
      await host.run([overlayCommand, 'down', file], options)
    },
    async reload(host, file) {
      await host.run([overlayCommand, 'up', file, '--reload'], options)
    },
    async device(host, interfaceName) {
      await host.run([overlayCommand, 'device', interfaceName], options)
    },
  }
}

/** Debian's wireguard-go, driven by wg-quick. */
export const wireguardGo: Implementation = {
  name: 'wireguard-go',
  async up(host, file) {
    await host.run(['wg-quick', 'up', file], { env: { WG_QUICK_USERSPACE_IMPLEMENTATION: 'wireguard-go' } })
  },
  async down(host, file) {
    await host.run(['wg-quick', 'down', file])
  },
  async reload(host, file) {
    await host.run([
      'bash',
      '-c',
      'wg syncconf "$1" <(wg-quick strip "$2")',
      'reload',
      interfaceOf(file),
      file,
    ])
  },
  async device(host, interfaceName) {
    await host.run(['wireguard-go', interfaceName])
  },
}

function interfaceOf(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1, -'.conf'.length)
}

export type Pair = readonly [left: Implementation, right: Implementation]

export const isStandIn: boolean = process.env.OVERLAY_INTEROP === 'stand-in'

/** Where a test looks at one implementation alone. */
export const subject: Implementation = isStandIn ? wireguardGo : overlay

export const pairs: readonly Pair[] = isStandIn
  ? [[wireguardGo, wireguardGo]]
  : [
      [overlay, overlay],
      [overlay, wireguardGo],
      [wireguardGo, overlay],
    ]

export function pairName([left, right]: Pair): string {
  return `${left.name} with ${right.name}`
}

/** Programs every tunnel of this folder needs. */
export const TUNNEL_PROGRAMS: readonly string[] = ['ip', 'sysctl', 'ping', 'wg', 'wg-quick', 'wireguard-go']

/** Lets wg-quick and friends find `overlay-device`. */
export const binPath: Readonly<Record<string, string>> = {
  PATH: `${BIN_DIRECTORY}:${process.env.PATH ?? ''}`,
}
