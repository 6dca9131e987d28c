/** How much goes over a relay or a direct TCP connection, and what that does to packets on a direct path. */

import { readFileSync } from 'node:fs'
import { Internet } from './internet.js'
import { percentile } from './matrix.js'
import { LabNetwork, type LabNode } from './network.js'
import type { Site } from './site.js'

const THROUGHPUT_S = 5
const TICKS_PER_S = 100
/** Far below what this machine can do, so that latency is not that of a busy processor. */
const LOAD = '200M'
const LOAD_S = 4
const PINGS = { intervalS: 0.005, count: 600 } as const
const KIND_POLLS = 100

interface Measured {
  readonly name: string
  readonly result: string
}

/** One flow over one relay or, between the same nodes, one connection of their own; all on this machine. */
export async function measureTcpFlow(kind: 'relay' | 'tcp'): Promise<Measured> {
  const internet = await Internet.open({ rttMs: 0, lossPercent: 0 })
  try {
    const network = await LabNetwork.start(internet)
    const a = await network.addNode(internet.addSite('portRestricted'), 'a')
    const b = await network.addNode(internet.addSite('portRestricted'), 'b')
    internet.setFault(a.site, kind === 'relay' ? 'serversOnly' : 'udpBlocked')
    await Promise.all([a.up(), b.up()])
    await a.untilKnown('b')
    await untilKind(a, 'b', kind)
    b.site.host.start(['iperf3', '-s'])
    const { pid } = JSON.parse(await network.hub('status', '--json')) as { pid: number }
    await new Promise((resolve) => setTimeout(resolve, 500))
    const before = cpuSeconds(pid)
    const words = ['iperf3', '-c', await b.address(), '-t', String(THROUGHPUT_S), '-J']
    const { stdout } = await a.site.host.run(words)
    const cpu = cpuSeconds(pid) - before
    const report = JSON.parse(stdout) as {
      end?: { sum_received?: { bits_per_second: number; bytes: number } }
    }
    const { bits_per_second: rate = 0, bytes = 0 } = report.end?.sum_received ?? {}
    const megabits = `${Math.round(rate / 1e6)} Mbit/s`
    if (kind === 'tcp') return { name: 'direct TCP connection, one flow', result: megabits }
    return {
      name: 'relayed TCP, one flow',
      result: `${megabits}, relay ${(cpu / (bytes / 1e9)).toFixed(2)} s/GB`,
    }
  } finally {
    internet.close()
  }
}

/** Pings on a direct path: alone, and while data goes to a third node, directly and over a relay. */
export async function measureBesideRelay(): Promise<Measured> {
  const internet = await Internet.open({ rttMs: 0, lossPercent: 0 })
  try {
    const network = await LabNetwork.start(internet)
    const a = await network.addNode(internet.addSite('open'), 'a')
    const b = await network.addNode(internet.addSite('open'), 'b')
    const site = internet.addSite('open')
    const c = await network.addNode(site, 'c')
    await Promise.all([a.up(), b.up(), c.up()])
    await Promise.all([a.untilKnown('b'), a.untilKnown('c')])
    await untilKind(a, 'b', 'direct')
    c.site.host.start(['iperf3', '-s'])
    const alone = await medianPing(a, b)
    const direct = await whileLoaded(internet, { a, b, c, site }, 'direct')
    const relayed = await whileLoaded(internet, { a, b, c, site }, 'relay')
    const [first, second, third] = [alone, direct, relayed].map((ms) => ms.toFixed(2))
    return {
      name: 'direct ping while 200 Mbit/s go over a relay',
      result: `median ${third} ms; directly ${second} ms, alone ${first} ms`,
    }
  } finally {
    internet.close()
  }
}

async function whileLoaded(
  internet: Internet,
  { a, b, c, site }: { readonly a: LabNode; readonly b: LabNode; readonly c: LabNode; readonly site: Site },
  kind: 'direct' | 'relay',
): Promise<number> {
  internet.setFault(site, kind === 'relay' ? 'serversOnly' : undefined)
  await untilKind(a, 'c', kind)
  const load = a.site.host.run(['iperf3', '-c', await c.address(), '-t', String(LOAD_S), '-b', LOAD, '-R'])
  await new Promise((resolve) => setTimeout(resolve, 500))
  const median = await medianPing(a, b)
  await load
  return median
}

async function medianPing(a: LabNode, b: LabNode): Promise<number> {
  const options = ['-n', '-i', String(PINGS.intervalS), '-c', String(PINGS.count)]
  const { stdout } = await a.site.host.run(['ping', ...options, await b.address()])
  const times = [...stdout.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms)).sort((x, y) => x - y)
  return percentile(times, 50) ?? Number.NaN
}

async function untilKind(node: LabNode, to: string, kind: string): Promise<void> {
  for (let i = 0; i < KIND_POLLS; i++) {
    await node.ping(to, '--count', '1')
    if ((await node.why(to)).kind === kind) return
  }
  throw new Error(`the path of ${node.name} to ${to} never was ${kind}`)
}

/** User and system time of a process (proc(5), fields 14 and 15 of stat). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
}
