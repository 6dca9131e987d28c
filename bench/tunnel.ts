/**
 * Measures whole tunnels between two namespaces of this machine and prints JSON.
 *
 * Implementations take turns within each round, because the machine's speed drifts: compare ratios
 * of one run, not numbers of different days. Both ends, the generator and the sink share the cores.
 * Ends by itself; needs root. Run it with `npm run bench` while nothing else is busy.
 */

import { readFileSync } from 'node:fs'
import { type Implementation, overlay, wireguardGo } from '../test/support/implementations.js'
import { type Host, type Lab, until, withLab } from '../test/support/lab.js'
import { ping } from '../test/support/ping.js'
import { memoryMib } from '../test/support/system-state.js'
import { generateKeys, layTunnel, openTunnel, type Tunnel, untilOpen } from '../test/support/tunnel.js'

const ROUNDS = 3
const IPERF_S = 4
const START_ROUNDS = 10
const PEERS = 1000
const CLOCK_TICKS_PER_S = 100 // USER_HZ on every Linux that Node runs on

interface Variant {
  readonly name: string
  readonly implementation: Implementation
  readonly env: Readonly<Record<string, string>>
}

const VARIANTS: readonly Variant[] = [
  { name: 'overlay, noble', implementation: overlay, env: { OVERLAY_CRYPTO: 'noble' } },
  { name: 'overlay, node', implementation: overlay, env: { OVERLAY_CRYPTO: 'node' } },
  { name: 'wireguard-go', implementation: wireguardGo, env: {} },
]

interface Sample {
  readonly variant: string
  readonly leftToRightMbps: number
  readonly rightToLeftMbps: number
  /** CPU seconds of both daemons per 10^9 bytes received. */
  readonly cpuSPerGb: number
}

function cpuS(hosts: readonly Host[]): number {
  let ticks = 0
  for (const pid of hosts.flatMap((host) => host.daemonPids())) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Fields 14 and 15; the name in brackets before them may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks / CLOCK_TICKS_PER_S
}

async function receivedBytes({ left, right }: Tunnel, line: string): Promise<number> {
  const command = `iperf3 -J -t ${IPERF_S} -O 1 -c ${right.addresses.inner4} ${line}`
  const text = await left.host.run(command, { timeoutMs: 60_000 })
  return (JSON.parse(text) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes
}

async function measure(lab: Lab, variant: Variant): Promise<Sample> {
  const { implementation } = variant
  const tunnel = await openTunnel(lab, [implementation, implementation])
  const hosts = [tunnel.left.host, tunnel.right.host]
  await untilOpen(tunnel)
  tunnel.right.host.start('iperf3 -s')
  await until('iperf3 listens', async () => (await tunnel.right.host.run('ss -Hltn')).includes(':5201 '))
  const before = cpuS(hosts)
  const there = await receivedBytes(tunnel, '')
  const back = await receivedBytes(tunnel, '-R')
  const mbps = (bytes: number): number => Math.round((bytes * 8) / IPERF_S / 1e6)
  // The warm-up second is part of the CPU time, so it is counted among the bytes.
  const gigabytes = ((there + back) * (IPERF_S + 1)) / IPERF_S / 1e9
  return {
    variant: variant.name,
    leftToRightMbps: mbps(there),
    rightToLeftMbps: mbps(back),
    cpuSPerGb: (cpuS(hosts) - before) / gigabytes,
  }
}

/** From the start of `up` to the first answered ping, handshake included. */
async function startMs(lab: Lab, variant: Variant): Promise<number> {
  const { implementation } = variant
  const tunnel = layTunnel(lab, [implementation, implementation], { right: { knowsEndpoint: false } })
  await tunnel.right.up()
  const beginMs = performance.now()
  await tunnel.left.up()
  const answer = await ping(tunnel.left.host, tunnel.right.addresses.inner4, 1)
  if (answer !== 1) throw new Error(`${variant.name}: no answer to the first ping`)
  return performance.now() - beginMs
}

async function memoryWithPeers(lab: Lab, variant: Variant): Promise<number> {
  const host = lab.host('one')
  const name = lab.interfaceName()
  await variant.implementation.device(host, name)
  const peers = Array.from({ length: PEERS }, (_, i) => [
    '[Peer]',
    `PublicKey = ${generateKeys().publicKey}`,
    `AllowedIPs = 10.${1 + (i >> 8)}.${i & 255}.0/24`,
  ])
  const config = ['[Interface]', `PrivateKey = ${generateKeys().privateKey}`, ...peers.flat()].join('\n')
  await host.run(['wg', 'setconf', name, lab.file(config)])
  await host.run(`ip link set ${name} up`)
  const [pid] = host.daemonPids()
  return memoryMib(readFileSync(`/proc/${pid}/status`, 'utf8'))
}

function inEnvironment<T>(variant: Variant, use: (lab: Lab) => Promise<T>): Promise<T> {
  delete process.env.OVERLAY_CRYPTO
  Object.assign(process.env, variant.env)
  return withLab(use)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

async function inTurns<T>(rounds: number, use: (variant: Variant) => Promise<T>): Promise<Map<string, T[]>> {
  const results = new Map<string, T[]>(VARIANTS.map(({ name }) => [name, []]))
  for (let turn = 1; turn <= rounds; turn++) {
    for (const variant of VARIANTS) {
      const result = await use(variant)
      results.get(variant.name)?.push(result)
      process.stderr.write(`${turn}/${rounds} ${variant.name}: ${JSON.stringify(result)}\n`)
    }
  }
  return results
}

async function main(): Promise<void> {
  const samples = await inTurns(ROUNDS, (variant) => inEnvironment(variant, (lab) => measure(lab, variant)))
  const starts = await inTurns(START_ROUNDS, (variant) =>
    inEnvironment(variant, (lab) => startMs(lab, variant)),
  )
  const memory = await inTurns(1, (variant) => inEnvironment(variant, (lab) => memoryWithPeers(lab, variant)))
  const anchor = median((samples.get('wireguard-go') ?? []).map((sample) => sample.leftToRightMbps))
  const report = VARIANTS.map(({ name }) => {
    const own = samples.get(name) ?? []
    const leftToRightMbps = median(own.map((sample) => sample.leftToRightMbps))
    return {
      variant: name,
      leftToRightMbps,
      rightToLeftMbps: median(own.map((sample) => sample.rightToLeftMbps)),
      ratioToWireguardGo: round(leftToRightMbps / anchor),
      cpuSPerGb: round(median(own.map((sample) => sample.cpuSPerGb))),
      upToFirstAnswerMs: Math.round(median(starts.get(name) ?? [])),
      memoryMibWith1000Peers: Math.round(median(memory.get(name) ?? [])),
    }
  })
  process.stdout.write(`${JSON.stringify({ rounds: ROUNDS, seconds: IPERF_S, report }, undefined, 2)}\n`)
}

await main()
