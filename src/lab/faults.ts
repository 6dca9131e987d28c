/** What networks do to nodes, one after the other, and how long each keeps data from flowing. */

import { Internet, type InternetOptions } from './internet.js'
import { LabNetwork, type LabNode } from './network.js'
import type { Fault } from './routers.js'
import type { Site } from './site.js'

export interface FaultResult {
  readonly name: string
  /** Ms until data flowed, or without it; null if it did not. */
  readonly ms: number | null
  readonly how: string
}

const PROXY_CREDENTIALS = 'ada:s3cret'
const FIRST_DATA_LIMIT_MS = 15_000

/** From `up` on a restricted network to the first answer through the tunnel. */
export async function measureRestrictions(options: InternetOptions): Promise<FaultResult[]> {
  const cases: { name: string; fault: Fault | 'proxy'; credentials?: string }[] = [
    { name: 'UDP blocked', fault: 'udpBlocked' },
    { name: 'TCP 443 only', fault: 'tcp443Only' },
    { name: 'TLS 443 only', fault: 'tls443Only' },
    { name: 'proxy only', fault: 'proxy', credentials: '' },
    { name: 'proxy with credentials only', fault: 'proxy', credentials: PROXY_CREDENTIALS },
  ]
  const results: FaultResult[] = []
  for (const { name, fault, credentials } of cases) {
    results.push({ name, ...(await measureRestriction(fault, credentials, options)) })
  }
  return results
}

async function measureRestriction(
  fault: Fault | 'proxy',
  credentials: string | undefined,
  options: InternetOptions,
): Promise<Omit<FaultResult, 'name'>> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet)
    const site = internet.addSite('portRestricted')
    const env = credentials === undefined ? {} : { https_proxy: internet.proxyUrl(credentials) }
    if (credentials !== undefined) internet.startProxy(credentials)
    const a = await network.addNode(site, 'a', env)
    const b = await network.addNode(internet.addSite('portRestricted'), 'b')
    // So that the network is known before it is restricted, as on a machine that moved there.
    await Promise.all([a.up(), b.up()])
    await a.untilKnown('b')
    await a.down()
    restrict(internet, site, fault)
    await a.up()
    const startMs = performance.now()
    const ms = await untilAnswer(a, 'b', startMs)
    const why = await a.why('b')
    return { ms, how: `${why.kind}, ${await relayWay(a)}` }
  } finally {
    internet.close()
  }
}

function restrict(internet: Internet, site: Site, fault: Fault | 'proxy'): void {
  if (fault === 'proxy') internet.allowProxyOnly(site)
  else internet.setFault(site, fault)
}

async function untilAnswer(node: LabNode, to: string, startMs: number): Promise<number | null> {
  while (performance.now() - startMs < FIRST_DATA_LIMIT_MS) {
    if ((await node.ping(to, '--count', '1')).code === 0) return Math.round(performance.now() - startMs)
  }
  return null
}

async function relayWay(node: LabNode): Promise<string> {
  const text = await node.overlay('status', node.interfaceName, '--json')
  const status = JSON.parse(text) as { interfaces: { network: { relays: { way: string }[] } | null }[] }
  return status.interfaces[0]?.network?.relays[0]?.way ?? ''
}

/** Two nodes that talk all the time, while their networks change under them. */
export async function measureInterruptions(options: InternetOptions): Promise<FaultResult[]> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet)
    const a = await network.addNode(internet.addSite('portRestricted'), 'a')
    const b = await network.addNode(internet.addSite('portRestricted'), 'b')
    await Promise.all([a.up(), b.up()])
    await a.untilKnown('b')
    await a.ping('b', '--until-direct')
    const results: FaultResult[] = []
    const measure = async (name: string, change: () => void, mend: () => void): Promise<void> => {
      const gapMs = await gapDuring(a, b, change)
      results.push({ name, ms: gapMs, how: (await a.why('b')).kind })
      const startMs = performance.now()
      mend()
      const isDirect = await untilDirect(a, 'b')
      results.push({
        name: `${name}: direct again`,
        ms: isDirect ? Math.round(performance.now() - startMs) : null,
        how: (await a.why('b')).kind,
      })
    }
    await measure(
      'UDP blocked while data flows',
      () => internet.setFault(a.site, 'udpBlocked'),
      () => internet.setFault(a.site, undefined),
    )
    await measure(
      'router restarted, other ports',
      () => internet.rebind(a.site),
      () => undefined,
    )
    await measure(
      'moved to another address',
      () => internet.move(a.site),
      () => undefined,
    )
    return results
  } finally {
    internet.close()
  }
}

/** Two nodes without UDP on one relay of two, and that one is killed. */
export async function measureRelayDeath(options: InternetOptions): Promise<FaultResult> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet, { hasSecondRelay: true })
    const a = await network.addNode(internet.addSite('portRestricted'), 'a')
    const b = await network.addNode(internet.addSite('portRestricted'), 'b')
    for (const { site } of [a, b]) internet.setFault(site, 'udpBlocked')
    await Promise.all([a.up(), b.up()])
    await a.untilKnown('b')
    await a.ping('b', '--count', '2')
    const { pid } = JSON.parse(await network.hub('status', '--json')) as { pid: number }
    const gapMs = await gapDuring(a, b, () => process.kill(pid, 'SIGKILL'))
    return {
      name: 'hub and its relay killed while relayed data flows',
      ms: gapMs,
      how: (await a.why('b')).kind,
    }
  } finally {
    internet.close()
  }
}

const PROBE_INTERVAL_MS = 20
const OBSERVED_MS = 4000

/** The longest time without an answer, beginning shortly before a change. */
async function gapDuring(a: LabNode, b: LabNode, change: () => void): Promise<number> {
  const address = await b.address()
  const interval = String(PROBE_INTERVAL_MS / 1000)
  const count = String(Math.round((OBSERVED_MS + 1000) / PROBE_INTERVAL_MS))
  const timer = setTimeout(change, 1000)
  const { stdout } = await a.site.host.run(['ping', '-D', '-n', '-i', interval, '-c', count, address])
  clearTimeout(timer)
  const times = [...stdout.matchAll(/^\[(\d+\.\d+)\] \d+ bytes/gm)].map((match) => 1000 * Number(match[1]))
  const gaps = times.slice(1).map((time, i) => time - (times[i] as number))
  return Math.round(Math.max(0, ...gaps))
}

/** While something is sent: whoever is silent need not be reached. */
async function untilDirect(node: LabNode, to: string): Promise<boolean> {
  for (let i = 0; i < 3; i++) {
    await node.ping(to, '--until-direct', '--count', '60')
    if ((await node.why(to)).kind !== 'relay') return true
  }
  return false
}
