/** Nodes that talk all the time, while what is between them changes: how long no answer comes. */

import { type FaultResult, untilAnswer } from './faults.js'
import { Internet, type InternetOptions } from './internet.js'
import { LabNetwork, type LabNode } from './network.js'

interface Observation {
  /** From the change on. */
  readonly lastsMs: number
  readonly intervalMs: number
}

/** Sessions are renewed several times in it, and NATs forget what is silent. */
const HUB_DEATH_MS = 600_000
const CLOSELY: Observation = { lastsMs: 4000, intervalMs: 20 }
/** Before the change, so that a gap has a beginning. */
const LEAD_MS = 1000
/** More than the time between two looks at a silent connection. */
const REMOVAL_LIMIT_MS = 45_000
/** Each takes a quarter of a second at least. */
const DIRECT_POLLS = 80

export async function measureInterruptions(options: InternetOptions): Promise<FaultResult[]> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet)
    const [a, b] = await addPair(internet, network, ['a', 'b'])
    await a.ping('b', '--until-direct')
    const results: FaultResult[] = []
    const measure = async (name: string, change: () => void, mend: () => void): Promise<void> => {
      const ms = await gapDuring(a, b, change, CLOSELY)
      results.push({ name, ms, how: (await a.why('b')).kind })
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
      'direct way cut while data flows',
      () => internet.setDirectCut(true),
      () => internet.setDirectCut(false),
    )
    await measure(
      'router restarted, other ports',
      () => internet.rebind(a.site),
      () => undefined,
    )
    await measure(
      'router with a new public address',
      () => internet.renumber(a.site),
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
    const [a, b] = await addPair(internet, network, ['a', 'b'])
    for (const { site } of [a, b]) internet.setFault(site, 'serversOnly')
    await a.ping('b', '--count', '2')
    const pid = await hubPid(network)
    const ms = await gapDuring(a, b, () => process.kill(pid, 'SIGKILL'), CLOSELY)
    const name = 'hub and its relay killed while relayed data flows'
    return { name, ms, how: (await a.why('b')).kind }
  } finally {
    internet.close()
  }
}

/** The hub stays dead. Two nodes have a direct path when it dies; two others have yet to find one. */
export async function measureHubDeath(
  options: InternetOptions,
  lastsMs: number = HUB_DEATH_MS,
): Promise<FaultResult[]> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet, { hasSecondRelay: true })
    const [a, b] = await addPair(internet, network, ['a', 'b'])
    const [c] = await addPair(internet, network, ['c', 'd'])
    await a.ping('b', '--until-direct')
    const pid = await hubPid(network)
    const change = (): void => void process.kill(pid, 'SIGKILL')
    const ms = await gapDuring(a, b, change, { lastsMs, intervalMs: 100 })
    const kept = { name: 'hub killed while direct data flows', ms, how: (await a.why('b')).kind }
    const startMs = performance.now()
    const answerMs = await untilAnswer(c, 'd', startMs)
    const answer = { name: 'hub killed: two that had no link', ms: answerMs, how: (await c.why('d')).kind }
    const isDirect = await untilDirect(c, 'd')
    const directMs = isDirect ? Math.round(performance.now() - startMs) : null
    return [kept, answer, { name: `${answer.name}: direct`, ms: directMs, how: (await c.why('d')).kind }]
  } finally {
    internet.close()
  }
}

/**
 * A silent node is removed when its router has just been restarted: until it knows. Nobody takes anything of it by then,
 * neither its peers nor a relay: they hear of it at once.
 */
export async function measureIdleRemoval(options: InternetOptions): Promise<FaultResult> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet)
    const [a] = await addPair(internet, network, ['a', 'b'])
    internet.rebind(a.site)
    const startMs = performance.now()
    await network.hub('remove', 'a')
    const name = 'removed, silent, behind a router that was restarted'
    while (performance.now() - startMs < REMOVAL_LIMIT_MS) {
      const { network: own } = await a.status()
      if (own !== null && own.removedAt !== null)
        return { name, ms: Math.round(performance.now() - startMs), how: 'it knows' }
    }
    return { name, ms: null, how: 'it does not know' }
  } finally {
    internet.close()
  }
}

/** Each behind a router of its own; they know each other, and have not talked. */
async function addPair(
  internet: Internet,
  network: LabNetwork,
  [left, right]: readonly [string, string],
): Promise<readonly [LabNode, LabNode]> {
  const a = await network.addNode(internet.addSite('portRestricted'), left)
  const b = await network.addNode(internet.addSite('portRestricted'), right)
  await Promise.all([a.up(), b.up()])
  await Promise.all([a.untilKnown(right), b.untilKnown(left)])
  return [a, b]
}

async function hubPid(network: LabNetwork): Promise<number> {
  return (JSON.parse(await network.hub('status', '--json')) as { pid: number }).pid
}

/** The longest time without an answer, beginning shortly before a change; null if none came any more. */
async function gapDuring(
  a: LabNode,
  b: LabNode,
  change: () => void,
  { lastsMs, intervalMs }: Observation,
): Promise<number | null> {
  const address = await b.address()
  const count = Math.round((lastsMs + LEAD_MS) / intervalMs)
  const timer = setTimeout(change, LEAD_MS)
  const options = ['-D', '-n', '-i', String(intervalMs / 1000), '-c', String(count)]
  const { stdout } = await a.site.host.run(['ping', ...options, address])
  clearTimeout(timer)
  const answers = [...stdout.matchAll(/^\[(\d+\.\d+)\] \d+ bytes.* icmp_seq=(\d+)/gm)]
  const times = answers.map(([, seconds]) => 1000 * Number(seconds))
  const unanswered = count - Math.max(0, ...answers.map(([, , number]) => Number(number)))
  if (unanswered * intervalMs >= lastsMs) return null
  const gaps = times.slice(1).map((time, i) => time - (times[i] as number))
  return Math.round(Math.max(unanswered * intervalMs, ...gaps))
}

/** By UDP, while something is sent: whoever is silent need not be reached. */
async function untilDirect(node: LabNode, to: string): Promise<boolean> {
  for (let i = 0; i < DIRECT_POLLS; i++) {
    await node.ping(to, '--until-direct', '--count', '10')
    if (!['relay', 'tcp'].includes((await node.why(to)).kind)) return true
  }
  return false
}
