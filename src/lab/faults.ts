/** Networks that restrict what comes through, and how long each keeps data from flowing. */

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

/** Ms since `startMs`. */
export async function untilAnswer(node: LabNode, to: string, startMs: number): Promise<number | null> {
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
