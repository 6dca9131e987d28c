/**
 * One tunnel between two hosts, each end run by an implementation of the tester's choice.
 *
 *   left host                                              right host
 *   10.77.0.1, fd77::1   ═══════════ tunnel ═══════════    10.77.0.2, fd77::2
 *   192.0.2.1, 2001:db8::1  ── eth0 ──────── eth0 ──  192.0.2.2, 2001:db8::2
 */

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KEY_BYTES, REKEY_AFTER_TIME_MS } from '../../src/wireguard/constants.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { formatKeyBase64 } from '../../src/wireguard/keys.js'
import type { Implementation, Pair } from './implementations.js'
import { type Host, type Lab, until } from './lab.js'
import { ping } from './ping.js'
import type { RunOptions } from './processes.js'
import { askUapi, uapiSocket } from './uapi-client.js'

export interface KeyPair {
  readonly privateKey: string
  readonly publicKey: string
}

/** Not by node's key generator: exporting what it made can deadlock with its garbage collection. */
export function generateKeys(): KeyPair {
  const key = nobleCrypto.dhPrivateKey(randomBytes(KEY_BYTES))
  return { privateKey: formatKeyBase64(key.bytes), publicKey: formatKeyBase64(key.publicKey) }
}

export function generatePresharedKey(): string {
  return randomBytes(KEY_BYTES).toString('base64')
}

export interface SideOptions {
  readonly listenPort?: number
  /** Replaces the default allowed IPs, which are the other side's inner addresses. */
  readonly allowedIps?: readonly string[]
  /** Further lines of `[Interface]` and `[Peer]`. */
  readonly interfaceLines?: readonly string[]
  readonly peerLines?: readonly string[]
  /** False: this side waits until the other one calls. */
  readonly knowsEndpoint?: boolean
  readonly presharedKey?: string
}

export interface TunnelOptions {
  /** Family of the outer packets. */
  readonly outer?: 4 | 6
  readonly left?: SideOptions
  readonly right?: SideOptions
}

interface Addresses {
  readonly outer4: string
  readonly outer6: string
  readonly inner4: string
  readonly inner6: string
}

const LEFT: Addresses = { outer4: '192.0.2.1', outer6: '2001:db8::1', inner4: '10.77.0.1', inner6: 'fd77::1' }
const RIGHT: Addresses = {
  outer4: '192.0.2.2',
  outer6: '2001:db8::2',
  inner4: '10.77.0.2',
  inner6: 'fd77::2',
}

/** One end of a tunnel. */
export class Side {
  readonly host: Host
  readonly implementation: Implementation
  readonly interfaceName: string
  readonly file: string
  readonly keys: KeyPair = generateKeys()
  readonly addresses: Addresses

  constructor(lab: Lab, host: Host, implementation: Implementation, addresses: Addresses) {
    this.host = host
    this.implementation = implementation
    this.interfaceName = lab.interfaceName()
    this.file = join(lab.directory, `${this.interfaceName}.conf`)
    this.addresses = addresses
  }

  writeConfig(other: Side, options: SideOptions, outer: 4 | 6): void {
    const { inner4, inner6 } = this.addresses
    const remote = outer === 4 ? other.addresses.outer4 : `[${other.addresses.outer6}]`
    const allowed = options.allowedIps ?? [`${other.addresses.inner4}/32`, `${other.addresses.inner6}/128`]
    const lines = [
      '[Interface]',
      `PrivateKey = ${this.keys.privateKey}`,
      `ListenPort = ${options.listenPort ?? LISTEN_PORT}`,
      `Address = ${inner4}/24, ${inner6}/64`,
      ...(options.interfaceLines ?? []),
      '',
      '[Peer]',
      `PublicKey = ${other.keys.publicKey}`,
      ...(allowed.length > 0 ? [`AllowedIPs = ${allowed.join(', ')}`] : []),
      ...(options.presharedKey === undefined ? [] : [`PresharedKey = ${options.presharedKey}`]),
      ...(options.knowsEndpoint === false ? [] : [`Endpoint = ${remote}:${LISTEN_PORT}`]),
      ...(options.peerLines ?? []),
    ]
    writeFileSync(this.file, `${lines.join('\n')}\n`, { mode: 0o600 })
  }

  up(): Promise<void> {
    return this.implementation.up(this.host, this.file)
  }

  down(): Promise<void> {
    return this.implementation.down(this.host, this.file)
  }

  reload(): Promise<void> {
    return this.implementation.reload(this.host, this.file)
  }

  /** `wg show INTERFACE what`, one line per peer, split at tabs. */
  async show(what: string): Promise<string[][]> {
    const text = await this.host.run(['wg', 'show', this.interfaceName, what])
    return text
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'))
  }

  set(line: string, options: RunOptions = {}): Promise<string> {
    return this.host.run(`wg set ${this.interfaceName} ${line}`, options)
  }

  /** Time of the last handshake in whole seconds, 0 before the first. */
  async latestHandshakeS(): Promise<number> {
    return Number((await this.show('latest-handshakes'))[0]?.[1] ?? 0)
  }

  /** The same, exact: wg cuts off what tells two handshakes within a second apart. */
  async latestHandshakeMs(): Promise<number> {
    const answer = await askUapi(uapiSocket(this.interfaceName), 'get=1\n\n')
    const number = (key: string): number => Number(new RegExp(`^${key}=(\\d+)$`, 'm').exec(answer)?.[1])
    return 1000 * number('last_handshake_time_sec') + number('last_handshake_time_nsec') / 1e6
  }

  /** Whether no handshake took place after the one at `handshakeMs`, except when new keys were due. */
  async hasKeptKeypair(handshakeMs: number): Promise<boolean> {
    const ageMs = (await this.latestHandshakeMs()) - handshakeMs
    return ageMs === 0 || ageMs >= REKEY_AFTER_TIME_MS - 1000
  }

  async endpoint(): Promise<string> {
    return (await this.show('endpoints'))[0]?.[1] ?? ''
  }
}

export const LISTEN_PORT = 51_820

export interface Tunnel {
  readonly left: Side
  readonly right: Side
}

/** The two hosts, their cable and their files; nothing runs yet. */
export function layTunnel(lab: Lab, pair: Pair, options: TunnelOptions = {}): Tunnel {
  const hosts = [lab.host('left'), lab.host('right')] as const
  lab.connect(hosts[0], hosts[1], {
    left: [`${LEFT.outer4}/24`, `${LEFT.outer6}/64`],
    right: [`${RIGHT.outer4}/24`, `${RIGHT.outer6}/64`],
  })
  const left = new Side(lab, hosts[0], pair[0], LEFT)
  const right = new Side(lab, hosts[1], pair[1], RIGHT)
  left.writeConfig(right, options.left ?? {}, options.outer ?? 4)
  right.writeConfig(left, options.right ?? {}, options.outer ?? 4)
  return { left, right }
}

/** A tunnel with both ends up. */
export async function openTunnel(lab: Lab, pair: Pair, options: TunnelOptions = {}): Promise<Tunnel> {
  const tunnel = layTunnel(lab, pair, options)
  await Promise.all([tunnel.left.up(), tunnel.right.up()])
  return tunnel
}

/** Pings until an answer comes: the tunnel is open. */
export async function untilOpen(tunnel: Tunnel, deadlineMs?: number): Promise<void> {
  await until(
    'an answer through the tunnel',
    async () => (await ping(tunnel.left.host, tunnel.right.addresses.inner4)) === 1,
    deadlineMs,
  )
}
