/** Nodes behind routers of many kinds that all talk to all: how long until each pair that can be direct is. */

import { Internet, type InternetOptions } from './internet.js'
import { LabNetwork, type LabNode } from './network.js'
import type { RouterKind } from './routers.js'

export interface MeshPair {
  readonly pair: string
  /** From the moment when all begin to talk; null if it was not direct within the patience. */
  readonly ms: number | null
  readonly kind: string
}

const PATIENCE_MS = 90_000
const PROBE_PINGS = 10

/** Each pair is asked from both sides, all at the same time: searches share the routers and their sessions. */
export async function measureMesh(
  kinds: readonly RouterKind[],
  options: InternetOptions,
): Promise<MeshPair[]> {
  const internet = await Internet.open(options)
  try {
    const network = await LabNetwork.start(internet)
    const nodes: LabNode[] = []
    for (const [i, kind] of kinds.entries()) {
      nodes.push(await network.addNode(internet.addSite(kind), `n${i + 1}`))
    }
    await Promise.all(nodes.map(async (node) => await node.up()))
    const pairs = nodes.flatMap((left, i) => nodes.slice(i + 1).map((right) => [left, right] as const))
    await Promise.all(pairs.map(async ([left, right]) => await left.untilKnown(right.name)))
    const startMs = performance.now()
    return await Promise.all(
      pairs.map(async ([left, right]) => {
        const [ms, kind] = await untilDirect(left, right, startMs)
        return { pair: `${left.site.kind} × ${right.site.kind}`, ms, kind }
      }),
    )
  } finally {
    internet.close()
  }
}

async function untilDirect(
  left: LabNode,
  right: LabNode,
  startMs: number,
): Promise<readonly [number | null, string]> {
  for (;;) {
    const pings = ['--until-direct', '--count', String(PROBE_PINGS)]
    await Promise.all([left.ping(right.name, ...pings), right.ping(left.name, ...pings)])
    const { kind } = await left.why(right.name)
    const ms = performance.now() - startMs
    if (kind !== 'relay') return [Math.round(ms), kind]
    if (ms > PATIENCE_MS) return [null, kind]
  }
}
