/** A disk image was copied, keys and all: two machines are one node. */

import { copyFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Internet } from '../../src/lab/internet.js'
import { LabNetwork, LabNode } from '../../src/lab/network.js'
import { until } from '../support/lab.js'
import { requirement } from '../support/requirement.js'

const WATCHED_MS = 8000
/** Of hellos while it is watched: both sides wait longer each time. */
const MAX_REFUSALS = 8

requirement('clones', ['ip', 'nft', 'conntrack'], () => {
  test('are told by name, on both machines and on the hub, and do not fight', async () => {
    const internet = await Internet.open({ rttMs: 20, lossPercent: 0 })
    try {
      const network = await LabNetwork.start(internet)
      const original = await network.addNode(internet.addSite('portRestricted'), 'alice')
      const bob = await network.addNode(internet.addSite('portRestricted'), 'bob')
      const clone = new LabNode(internet.addSite('portRestricted'), 'alice', internet.directory, {})
      copyFileSync(original.file, clone.file)
      await Promise.all([original.up(), bob.up()])
      await original.untilKnown('bob')
      expect((await original.ping('bob', '--count', '1')).code).toBe(0)
      await clone.up()
      const told = async (node: LabNode): Promise<boolean> =>
        (await node.overlay('status', node.interfaceName)).includes('is alice with the same identity')
      await until('one of the two is told', async () => (await told(original)) || (await told(clone)))
      expect(await network.hub('nodes')).toContain('two machines use its identity')
      const before = await refusals(network)
      await new Promise((resolve) => setTimeout(resolve, WATCHED_MS))
      expect((await refusals(network)) - before).toBeLessThan(MAX_REFUSALS)
      await clone.down()
      await until('the one that is left is in', async () =>
        (await original.overlay('status', original.interfaceName)).includes('connected by'),
      )
      expect((await original.ping('bob', '--count', '2')).code).toBe(0)
    } finally {
      internet.close()
    }
  })
})

async function refusals(network: LabNetwork): Promise<number> {
  const { counters } = JSON.parse(await network.hub('status', '--json')) as {
    counters: Record<string, number>
  }
  return counters['control.refused'] ?? 0
}
