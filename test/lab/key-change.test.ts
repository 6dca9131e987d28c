/**
 * Two nodes behind NATs, one of which changes its tunnel key every few seconds while ping runs.
 *
 *   alice — NAT — internet (hub, relay, STUN) — NAT — bob
 */

import { appendFileSync, existsSync, statSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Internet } from '../../src/lab/internet.js'
import { LabNetwork, type LabNode } from '../../src/lab/network.js'
import { until } from '../support/lab.js'
import { requirement } from '../support/requirement.js'

/** The shortest there is: changed by then, and the previous one gone after half of it. */
const LIFETIME_S = 10
const PINGS = 500
const PING_INTERVAL_S = 0.05

requirement('a tunnel key that changes', ['ip', 'nft', 'conntrack', 'ping', 'wg'], () => {
  let internet: Internet
  let network: LabNetwork
  let a: LabNode
  let b: LabNode

  beforeAll(async () => {
    internet = await Internet.open({ rttMs: 20, lossPercent: 0 })
    network = await LabNetwork.start(internet)
    a = await network.addNode(internet.addSite('portRestricted'), 'alice')
    b = await network.addNode(internet.addSite('portRestricted'), 'bob')
    appendFileSync(a.file, `KeyLifetime = ${LIFETIME_S}s\n`)
    await Promise.all([a.up(), b.up()])
    await a.untilKnown('bob')
    await a.ping('bob', '--until-direct')
  })
  afterAll(() => internet?.close())

  async function wg(node: LabNode, what: 'public-key' | 'peers'): Promise<string> {
    return (await node.site.host.run(['wg', 'show', node.interfaceName, what])).stdout.trim()
  }

  /** Another key than `before`, of which the peer knows. */
  async function untilChanged(before: string): Promise<string> {
    return await until('the key is another one, here and there', async () => {
      const key = await wg(a, 'public-key')
      return key !== before && (await wg(b, 'peers')) === key && key
    })
  }

  test('loses no packet, and the path stays', async () => {
    const first = await wg(a, 'public-key')
    const pinging = a.site.host.run([
      'ping',
      '-q',
      '-i',
      String(PING_INTERVAL_S),
      '-c',
      String(PINGS),
      await b.address(),
    ])
    const second = await untilChanged(first)
    // The file's key is another one than when it was read; to the device it is the one it has.
    await a.overlay('up', a.file, '--reload')
    expect(await wg(a, 'public-key')).not.toBe(first)
    await untilChanged(second)
    const { stdout } = await pinging
    expect(stdout).toContain(`${PINGS} packets transmitted, ${PINGS} received, 0% packet loss`)
    expect((await a.why('bob')).kind).toBe('punched')
    expect((await network.hub('audit')).match(/node\.key_changed +alice/g)?.length).toBeGreaterThanOrEqual(2)
  })

  test('is kept for its owner alone, and what was before it goes', async () => {
    const keyFile = a.file.replace('.conf', '.key')
    await untilChanged(await wg(a, 'public-key'))
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    await until('the previous key is gone', () => !existsSync(`${keyFile}.previous`))
  })

  test('links anew at once, also after the node was killed right after a change', async () => {
    const changed = await untilChanged(await wg(a, 'public-key'))
    await a.kill()
    await until('the daemon is gone', async () =>
      (await a.try('status', a.interfaceName)).stdout.includes('daemon died'),
    )
    await a.down()
    await a.up()
    await a.untilKnown('bob')
    expect((await a.ping('bob', '--count', '2')).code).toBe(0)
    await untilChanged(changed)
    expect((await b.ping('alice', '--count', '2')).code).toBe(0)
  })
})
