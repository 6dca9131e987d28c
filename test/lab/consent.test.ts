/**
 * A network that asks for consent: two nodes behind NATs, and the people at both.
 *
 *   alice — NAT — internet (hub, relay, STUN) — NAT — bob
 */

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TrustEntry, TrustReport } from '../../src/daemon/local-api-schema.js'
import { Internet } from '../../src/lab/internet.js'
import { LabNetwork, type LabNode } from '../../src/lab/network.js'
import { until } from '../support/lab.js'
import { requirement } from '../support/requirement.js'

requirement('a network that asks for consent', ['ip', 'nft', 'conntrack', 'ping', 'wg'], () => {
  let internet: Internet
  let network: LabNetwork
  let a: LabNode
  let b: LabNode

  beforeAll(async () => {
    internet = await Internet.open({ rttMs: 20, lossPercent: 0 })
    network = await LabNetwork.start(internet, { hubInit: ['--consent'] })
    a = await network.addNode(internet.addSite('portRestricted'), 'alice')
    b = await network.addNode(internet.addSite('fullCone'), 'bob')
    await Promise.all([a.up(), b.up()])
  })
  afterAll(() => internet?.close())

  async function trust(node: LabNode, ...words: readonly string[]): Promise<string> {
    return await node.overlay('trust', ...words, '--interface', node.interfaceName)
  }

  async function report(node: LabNode): Promise<TrustReport> {
    return JSON.parse(await trust(node, '--json')) as TrustReport
  }

  /** Waits until the node sees the other so, and gives what it knows of it. */
  async function untilState(node: LabNode, other: string, state: TrustEntry['state']): Promise<TrustEntry> {
    return await until(`${other} is ${state} at ${node.name}`, async () =>
      (await report(node)).nodes.find((entry) => entry.node === other && entry.state === state),
    )
  }

  /** By ordinary ping, which needs no name: 0 if an answer came. */
  async function pingCode(from: LabNode, to: LabNode): Promise<number | null> {
    const words = ['ping', '-q', '-c', '2', '-i', '0.2', '-W', '1', await to.address()]
    return (await from.site.host.run(words)).code
  }

  async function expectApart(): Promise<void> {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(await pingCode(from, to)).not.toBe(0)
      expect((await from.try('why', to.name, '--interface', from.interfaceName)).stderr).toContain(
        `there is no node ${to.name}`,
      )
      expect((await from.site.host.run(['wg', 'show', from.interfaceName, 'peers'])).stdout).toBe('')
    }
  }

  test('nodes know of each other by name, and cannot reach each other', async () => {
    const entry = await untilState(a, 'bob', 'none')
    await untilState(b, 'alice', 'none')
    expect(entry.identity).toBe((await report(b)).identity)
    await expectApart()
    expect(await network.hub('status')).toContain('when both have said yes')
  })

  test('one yes is not enough, and the other hears of it', async () => {
    expect(await trust(a, 'bob')).toContain((await report(b)).identity)
    await untilState(a, 'bob', 'asked')
    await untilState(b, 'alice', 'waits')
    await expectApart()
    expect(await b.overlay('status', b.interfaceName)).toMatch(/asks +alice; see: overlay trust/)
    expect(await a.overlay('status', a.interfaceName)).not.toContain('overlay trust')
    expect(await trust(b)).toMatch(/alice +\S{44} +waits for your yes/)
  })

  test('two are', async () => {
    await trust(b, 'alice')
    await Promise.all([untilState(a, 'bob', 'trusted'), untilState(b, 'alice', 'trusted')])
    await a.ping('bob', '--until-direct')
    expect([await pingCode(a, b), await pingCode(b, a)]).toEqual([0, 0])
    expect((await a.why('bob')).kind).toBe('punched')
  })

  test('both are kept by node and hub', async () => {
    const { pid } = JSON.parse(await network.hub('status', '--json')) as { pid: number }
    process.kill(pid, 'SIGKILL')
    await a.down()
    await a.up()
    await untilState(a, 'bob', 'trusted') // by its own store: the hub is away
    await network.startHub()
    await until('both are back', async () => {
      const nodes = JSON.parse(await network.hub('nodes', '--json')) as { isOnline: boolean }[]
      return nodes.every(({ isOnline }) => isOnline)
    })
    await untilState(a, 'bob', 'trusted')
    // The relay was away with the hub.
    await until('bob reaches alice', async () => (await b.ping('alice', '--count', '2')).code === 0)
  })

  test('whoever takes its yes back is gone for both at once', async () => {
    await trust(a, 'bob', '--revoke')
    await untilState(a, 'bob', 'waits')
    await untilState(b, 'alice', 'asked')
    await expectApart()
    const audit = await network.hub('audit')
    expect(audit).toMatch(/consent\.revoked +alice +to bob/)
    expect(audit.match(/consent\.given/g)).toHaveLength(2)
    await trust(a, 'bob')
    await untilState(b, 'alice', 'trusted')
    await a.untilKnown('bob')
    expect((await a.ping('bob', '--count', '2')).code).toBe(0)
  })
})
