/**
 * The test bed: two hosts on one cable, and a contender's tunnel between them.
 *
 *   A 10.77.0.1 ═══════ tunnel, MTU 1420 ═══════ 10.77.0.2 B
 *   A 192.0.2.1 ── eth0 ── veth, MTU 1500 ── eth0 ── 192.0.2.2 B
 *
 * Everybody is configured with the same lines by the same programs. Without a daemon the bed is the
 * bare cable.
 */

import { randomBytes } from 'node:crypto'
import type { Host, Lab } from '../test/support/lab.js'
import { ping } from '../test/support/ping.js'
import { generateKeys, type KeyPair, LISTEN_PORT } from '../test/support/tunnel.js'
import type { Contender, Daemon } from './contenders.js'

const TUNNEL_MTU = 1420
export const ALLOWED_IPS_PER_PEER = 10
/** Answers are waited for this long, handshake included. */
const OPEN_WAIT_S = 15

/** One end of a bed. */
class End {
  readonly host: Host
  readonly interfaceName: string
  readonly inner: string
  readonly outer: string
  readonly keys: KeyPair = generateKeys()

  constructor(host: Host, interfaceName: string, number: 1 | 2) {
    this.host = host
    this.interfaceName = interfaceName
    this.inner = `10.77.0.${number}`
    this.outer = `192.0.2.${number}`
  }

  /** What `wg setconf` takes. */
  config(other: End, peers: number): string[] {
    return [
      '[Interface]',
      `PrivateKey = ${this.keys.privateKey}`,
      `ListenPort = ${LISTEN_PORT}`,
      '[Peer]',
      `PublicKey = ${other.keys.publicKey}`,
      `AllowedIPs = ${other.inner}/32${furtherAllowedIps(peers)}`,
      `Endpoint = ${other.outer}:${LISTEN_PORT}`,
      ...idlePeers(peers - 1),
    ]
  }

  /** The same as a file of wg-quick. */
  quickConfig(other: End): string[] {
    const [section = '', ...lines] = this.config(other, 1)
    return [section, `Address = ${this.inner}/24`, `MTU = ${TUNNEL_MTU}`, ...lines]
  }

  async up(daemon: Daemon, configFile: string): Promise<void> {
    const name = this.interfaceName
    await daemon.device(this.host, name)
    await this.host.run(['wg', 'setconf', name, configFile], { timeoutMs: 60_000 })
    await this.host.run(`ip addr add ${this.inner}/24 dev ${name}`)
    await this.host.run(`ip link set ${name} mtu ${TUNNEL_MTU} up`)
  }
}

export interface Bed {
  readonly left: End
  readonly right: End
}

/** The hosts and the cable; nothing runs yet. */
export function layBed(lab: Lab): Bed {
  const left = new End(lab.host('a'), lab.interfaceName(), 1)
  const right = new End(lab.host('b'), lab.interfaceName(), 2)
  lab.connect(left.host, right.host, { left: [`${left.outer}/24`], right: [`${right.outer}/24`] })
  return { left, right }
}

/** A bed with the contender's tunnel, open. */
export async function openBed(lab: Lab, { daemon, peers }: Contender): Promise<Bed> {
  const bed = layBed(lab)
  const { left, right } = bed
  if (daemon !== undefined) {
    await right.up(daemon, configFile(lab, right.config(left, peers)))
    await left.up(daemon, configFile(lab, left.config(right, peers)))
    await untilAnswered(left.host, right.inner)
  }
  return bed
}

export function configFile(lab: Lab, lines: readonly string[]): string {
  return lab.file(`${lines.join('\n')}\n`)
}

/** The answer to the very first ping ends it. */
export async function untilAnswered(from: Host, address: string): Promise<void> {
  if ((await ping(from, address, 1, { waitS: OPEN_WAIT_S })) === 1) return
  throw new Error(`no answer from ${address} within ${OPEN_WAIT_S} s`)
}

/** Peers that never speak. Any 32 bytes are a public key. */
export function idlePeers(count: number): string[] {
  return Array.from({ length: count }, (_, peer) => [
    '[Peer]',
    `PublicKey = ${randomBytes(32).toString('base64')}`,
    `AllowedIPs = ${allowedIps(peer + 1, ALLOWED_IPS_PER_PEER).join(', ')}`,
  ]).flat()
}

/** The speaking peer has as many as the others, if there are others. */
function furtherAllowedIps(peers: number): string {
  return peers === 1 ? '' : `, ${allowedIps(0, ALLOWED_IPS_PER_PEER - 1).join(', ')}`
}

/** Prefixes of several lengths, no two of them the same. */
function allowedIps(peer: number, count: number): string[] {
  const third = peer & 255
  return Array.from(
    { length: count },
    (_, i) => `10.${100 + (peer >> 8) * 10 + i}.${third}.0/${24 + (i & 7)}`,
  )
}
