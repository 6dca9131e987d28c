/** What waits when something has just come up: a node, a peer's daemon, the only relay. */

import type { FaultResult } from './faults.js'
import { Internet, type InternetOptions } from './internet.js'
import { percentile } from './matrix.js'
import { LabNetwork, type LabNode } from './network.js'
import type { Fault } from './routers.js'

export interface StartOptions extends InternetOptions {
  readonly tries: number
  /** Of the network of the node that starts. */
  readonly fault?: Fault
}

/** Longer than WireGuard waits before it asks again. */
const PATIENCE_S = 18
const PING_INTERVAL_S = 0.02
/** A daemon is away for so long when it is restarted. */
const AWAY_MS = 700
const OUTAGE_MS = 10_000
const STREAM_S = 28
const OFFICE_NODES = 10
const STREAM_INTERVAL_S = 0.1
const BEFORE_OUTAGE_MS = 3000

/** From an interface that is up, with traffic waiting, to the first answer: the median and p95 of several. */
export async function measureColdStarts({ tries, fault, ...options }: StartOptions): Promise<FaultResult> {
  const internet = await Internet.open(options)
  try {
    const [network, a, b] = await startPair(internet)
    const address = await b.address()
    await a.down()
    if (fault !== undefined) internet.setFault(a.site, fault)
    const times: number[] = []
    for (let i = 0; i < tries; i++) {
      internet.forget(a.site)
      const answered = untilFirstAnswer(a, address)
      await a.up()
      times.push(await answered)
      await a.down()
      // So that the peer, too, has nothing of the last time.
      await b.down()
      await b.up()
      await network.untilOnline(b)
    }
    const where = fault === undefined ? '' : `, ${fault}`
    return summarize(`cold start with traffic waiting${where}`, times)
  } finally {
    internet.close()
  }
}

/** Ten nodes behind one NAT that start at the same moment: each until its first answer, and what it knows of itself then. */
export async function measureOffice(options: InternetOptions): Promise<FaultResult> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet)
    const office = internet.addSite('portRestricted')
    const b = await network.addNode(internet.addSite('portRestricted'), 'b')
    await b.up()
    const address = await b.address()
    const nodes: LabNode[] = []
    for (let i = 1; i <= OFFICE_NODES; i++) {
      nodes.push(await network.addNode(internet.addMachine(office), `n${i}`))
    }
    const answers = nodes.map(async (node) => await untilFirstAnswer(node, address))
    await Promise.all(nodes.map(async (node) => await node.up()))
    const times = await Promise.all(answers)
    const networks = await Promise.all(nodes.map(async (node) => (await node.status()).network))
    const seen = networks.filter((own) => own !== null && own.seenAs.length > 0).length
    const { how, ...result } = summarize(`${OFFICE_NODES} nodes behind one NAT start together`, times)
    return { ...result, how: `${how}, ${seen} know their address` }
  } finally {
    internet.close()
  }
}

/** The daemon of a peer is killed and started again while it is talked to: from its being up to the next answer. */
export async function measureDaemonRestarts({ tries, ...options }: StartOptions): Promise<FaultResult> {
  const internet = await Internet.open(options)
  try {
    const [, a, b] = await startPair(internet)
    await a.ping('b', '--until-direct')
    const address = await b.address()
    const times: number[] = []
    for (let i = 0; i < tries; i++) {
      const answers = pingFor(a, address, PATIENCE_S + 4)
      await pause(1000)
      await b.kill()
      await pause(AWAY_MS)
      await b.up()
      const upMs = Date.now()
      const later = (await answers).find((atMs) => atMs > upMs)
      times.push(later === undefined ? Number.POSITIVE_INFINITY : later - upMs)
    }
    return summarize('daemon of the peer restarted', times)
  } finally {
    internet.close()
  }
}

/** A TCP stream over the only relay, which is away for ten seconds: for how long it stands after that. */
export async function measureRelayOutage(options: InternetOptions): Promise<FaultResult> {
  const internet = await Internet.open(options)
  try {
    const [network, a, b] = await startPair(internet)
    for (const { site } of [a, b]) internet.setFault(site, 'serversOnly')
    await a.ping('b', '--count', '2')
    a.site.host.start(['iperf3', '-s'])
    await pause(500)
    const words = [
      '-t',
      String(STREAM_S),
      '-i',
      String(STREAM_INTERVAL_S),
      '-b',
      '2M',
      '-l',
      '1K',
      '-R',
      '-J',
    ]
    const address = await a.address()
    const startMs = performance.now()
    const stream = b.site.host.run(['iperf3', '-c', address, ...words])
    await pause(BEFORE_OUTAGE_MS)
    await network.killHub()
    await pause(OUTAGE_MS)
    await network.startHub()
    const backMs = Math.round(performance.now() - startMs)
    const { stdout } = await stream
    const stands = standsUntilMs(stdout)
    const name = 'TCP stream after ten seconds without its only relay'
    return { name, ms: stands === null ? null : Math.max(0, stands - backMs), how: (await a.why('b')).kind }
  } finally {
    internet.close()
  }
}

/** When the longest time without a byte was over, in ms from the start; null if it never was. */
function standsUntilMs(report: string): number | null {
  const { intervals = [] } = JSON.parse(report) as {
    intervals?: { sum: { start: number; end: number; bytes: number } }[]
  }
  let longest = { ms: 0, endMs: 0 }
  let sinceMs: number | undefined
  for (const { sum } of intervals) {
    if (sum.bytes === 0) sinceMs ??= 1000 * sum.start
    else if (sinceMs !== undefined) {
      const endMs = 1000 * sum.start
      if (endMs - sinceMs > longest.ms) longest = { ms: endMs - sinceMs, endMs }
      sinceMs = undefined
    }
  }
  return sinceMs === undefined ? Math.round(longest.endMs) : null
}

/** They know each other, are up, and have not talked. */
async function startPair(internet: Internet): Promise<readonly [LabNetwork, LabNode, LabNode]> {
  const network = await LabNetwork.start(internet)
  const a = await network.addNode(internet.addSite('portRestricted'), 'a')
  const b = await network.addNode(internet.addSite('portRestricted'), 'b')
  await Promise.all([a.up(), b.up()])
  await Promise.all([a.untilKnown('b'), b.untilKnown('a')])
  return [network, a, b]
}

/** Ms from the moment when the interface has its address. */
async function untilFirstAnswer(node: LabNode, address: string): Promise<number> {
  const isUp = `ip addr show dev ${node.interfaceName} 2>/dev/null | grep -q 'inet '`
  const options = `-D -n -i ${PING_INTERVAL_S} -c ${PATIENCE_S / PING_INTERVAL_S}`
  const untilAnswer = `grep -m1 -o '^\\[[0-9.]*\\] [0-9]* bytes'`
  const script = `until ${isUp}; do sleep 0.01; done; date +%s.%N; ping ${options} ${address} | ${untilAnswer}`
  const { stdout } = await node.site.host.run(['bash', '-c', script])
  const [, start, answer] = /^([\d.]+)\n\[([\d.]+)\]/.exec(stdout) ?? []
  return answer === undefined ? Number.POSITIVE_INFINITY : 1000 * (Number(answer) - Number(start))
}

/** When answers came, in ms of the wall clock. */
async function pingFor(node: LabNode, address: string, seconds: number): Promise<number[]> {
  const options = ['-D', '-n', '-i', String(PING_INTERVAL_S), '-w', String(seconds)]
  const { stdout } = await node.site.host.run(['ping', ...options, address])
  return [...stdout.matchAll(/^\[(\d+\.\d+)\] \d+ bytes/gm)].map(([, at]) => 1000 * Number(at))
}

function summarize(name: string, times: readonly number[]): FaultResult {
  const sorted = times.toSorted((x, y) => x - y)
  const [median, p95] = [50, 95].map((percent) => percentile(sorted, percent) ?? Number.POSITIVE_INFINITY)
  const isNever = p95 === undefined || p95 === Number.POSITIVE_INFINITY
  return {
    name,
    ms: isNever ? null : Math.round(p95),
    how: `p95 of ${times.length}, median ${round(median)}`,
  }
}

function round(ms: number | undefined): string {
  return ms === undefined || ms === Number.POSITIVE_INFINITY ? 'never' : `${Math.round(ms)} ms`
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}
