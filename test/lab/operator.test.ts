/**
 * What whoever runs a hub does to it in years, in minutes: other keys, a relay that comes and goes, a backup that is
 * put back, a disk that is read-only. What is typed is what the program said to type.
 *
 *   alice, bob, carol — NAT — internet (hub; a relay of its own process)
 */

import type { ChildProcess } from 'node:child_process'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HUB_ADDRESS, Internet } from '../../src/lab/internet.js'
import { LabNetwork, LabNode } from '../../src/lab/network.js'
import { until } from '../support/lab.js'
import { requirement } from '../support/requirement.js'

const OVERLAY = fileURLToPath(new URL('../../bin/overlay', import.meta.url))
const RELAY_PORT = 7443
const OVERLAP_S = 6

interface RelayFacts {
  readonly isConnected: boolean
  readonly isCurrent: boolean
}

interface NodeFacts {
  readonly name: string
  readonly isOnline: boolean
}

requirement('a hub through the years', ['ip', 'nft', 'conntrack', 'ping', 'mount', 'nsenter'], () => {
  let internet: Internet
  let network: LabNetwork
  let state: string
  let alice: LabNode
  let bob: LabNode
  let carol: LabNode
  let relay: ChildProcess | undefined
  /** As the first `hub status` said, and as the unit of the relay has it ever after. */
  let firstKey: string

  beforeAll(async () => {
    internet = await Internet.open({ rttMs: 4, lossPercent: 0 })
    state = join(internet.directory, 'hub-lab')
    mkdirSync(state)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=700', 'none', state])
    network = await LabNetwork.start(internet)
    firstKey = await hubKey()
    const key = await startRelay()
    await network.hub('relay', 'add', `${HUB_ADDRESS}:${RELAY_PORT}:${key}`)
    alice = await network.addNode(internet.addSite('portRestricted'), 'alice')
    bob = await network.addNode(internet.addSite('portRestricted'), 'bob')
    carol = await network.addNode(internet.addSite('portRestricted'), 'carol')
    await Promise.all([alice.up(), bob.up()])
    await alice.untilKnown('bob')
    await untilRelayCurrent()
  })
  afterAll(() => {
    relay?.kill('SIGKILL')
    if (state !== undefined) execFileSync('umount', ['-l', state])
    internet?.close()
  })

  async function hubKey(): Promise<string> {
    return (JSON.parse(await network.hub('status', '--json')) as { hubKey: string }).hubKey
  }

  async function hubPid(): Promise<number> {
    return (JSON.parse(await network.hub('status', '--json')) as { pid: number }).pid
  }

  /** With the key of the hub of long ago. Gives its own. */
  async function startRelay(): Promise<string> {
    const words = ['relay', '--json', '--port', String(RELAY_PORT), '--hub', `${firstKey}@${HUB_ADDRESS}:443`]
    return await new Promise((resolve) => {
      relay = internet.hub.start(
        [process.execPath, OVERLAY, ...words, '--state', join(internet.directory, 'relay')],
        (line) => {
          if (line.startsWith('{')) resolve((JSON.parse(line) as { key: string }).key)
        },
      )
    })
  }

  async function killRelay(): Promise<void> {
    const child = relay
    if (child === undefined) return
    relay = undefined
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async function untilRelayCurrent(): Promise<void> {
    await until('the relay knows all nodes', async () => {
      const relays = JSON.parse(await network.hub('relay', 'list', '--json')) as RelayFacts[]
      return relays.every(({ isConnected, isCurrent }) => isConnected && isCurrent)
    })
  }

  async function nodes(): Promise<NodeFacts[]> {
    return JSON.parse(await network.hub('nodes', '--json')) as NodeFacts[]
  }

  async function untilHubGone(): Promise<void> {
    await until(
      'the hub is gone',
      async () =>
        await network.hub('status').then(
          () => false,
          () => true,
        ),
    )
  }

  /** As the hints say: down, and with a new token. */
  async function joinAnew(node: LabNode, ...words: readonly string[]): Promise<void> {
    const token = (await network.hub('token', 'create', '--name', node.name)).trim()
    expect((await node.try('join', token, '--file', node.file, ...words)).stderr).toContain(
      `sudo overlay down ${node.interfaceName}`,
    )
    await node.down()
    await node.overlay('join', token, '--file', node.file, ...words)
    await node.up()
    await network.untilOnline(node)
  }

  test('the keys change, and past the overlap nodes and the relay are there', async () => {
    await network.hub('rotate-key', '--overlap', `${OVERLAP_S}s`)
    expect(await hubKey()).not.toBe(firstKey)
    await until('the old keys are forgotten', async () =>
      (await network.hub('audit')).includes('hub.keys_retired'),
    )
    await untilRelayCurrent()
    await killRelay()
    await startRelay()
    await untilRelayCurrent()
    await network.killHub()
    await untilHubGone()
    await network.startHub()
    await Promise.all([network.untilOnline(alice), network.untilOnline(bob), untilRelayCurrent()])
    expect((await alice.ping('bob', '--count', '2')).code).toBe(0)
  })

  test('a node that was away for all of the overlap says what to do, and that works', async () => {
    await carol.up()
    const reason = await until('carol says why the hub is no hub to it', async () => {
      const { stdout } = await carol.try('status', carol.interfaceName)
      return stdout.includes('--new-key') && stdout
    })
    expect(reason).toContain('sudo overlay down NETWORK, and with a new token: sudo overlay join --new-key')
    await joinAnew(carol, '--new-key')
    await carol.untilKnown('alice')
    expect((await carol.ping('alice', '--count', '2')).code).toBe(0)
    expect((await nodes()).map(({ name }) => name).sort()).toEqual(['alice', 'bob', 'carol'])
  })

  test('a backup that is put back names who was removed since; removed anew, the relay lets it in no more', async () => {
    const file = join(internet.directory, 'backup')
    await network.hub('backup', file)
    await network.hub('remove', 'bob')
    await carol.down()
    const dave = await network.addNode(internet.addSite('portRestricted'), 'dave')
    await dave.up()
    await network.untilOnline(dave)
    await network.killHub()
    await untilHubGone()
    const refusal = await network.hub('restore', file).catch(String)
    expect(refusal).toContain('is sound')
    const plan = await network.hub('restore', file, '--dry-run')
    expect(plan).toContain(
      `bob is in the network again; to remove it anew, after the start: overlay hub --state ${state} remove bob`,
    )
    expect(plan).toContain('dave joined since then, and has to join again, with a new token')
    expect(plan).toContain('its keys are those that are here now')
    expect(await network.hub('restore', file, '--force')).toContain('bob is in the network again')
    await network.startHub()
    await Promise.all([network.untilOnline(alice), untilRelayCurrent()])
    await network.hub('remove', 'bob')
    expect((await nodes()).map(({ name }) => name)).not.toContain('bob')
    await untilRelayCurrent()
    // The relay, too, knows it no more: what it keeps on its disk is what it goes by without the hub.
    await until('the relay forgets bob', () => {
      const kept = execFileSync('sh', ['-c', `cat ${join(internet.directory, 'relay')}/*.directory.json`], {
        encoding: 'utf8',
      })
      return (JSON.parse(kept) as { directory: { nodes: unknown[] } }).directory.nodes.length === 2
    })
    await until('dave is told', async () =>
      (await dave.try('status', dave.interfaceName)).stdout.includes('the hub does not know this node'),
    )
    await joinAnew(dave)
    await dave.untilKnown('alice')
    expect((await dave.ping('alice', '--count', '2')).code).toBe(0)
  })

  test('on a read-only disk it starts, serves whom it knows, refuses the rest, and heals', async () => {
    const token = (await network.hub('token', 'create', '--name', 'erin')).trim()
    const site = internet.addSite('portRestricted')
    const erin = new LabNode(site, 'erin', internet.directory, {})
    await network.killHub()
    await untilHubGone()
    execFileSync('mount', ['-o', 'remount,ro', state])
    await network.startHub()
    await Promise.all([network.untilOnline(alice), untilRelayCurrent()])
    expect((await alice.ping('dave', '--count', '2')).code).toBe(0)
    const status = await network.hub('status')
    expect(status).toContain('the file system of the hub’s store is read-only')
    expect(await network.hub('remove', 'dave').catch(String)).toContain('is read-only')
    const refused = await erin.try('join', token, '--file', erin.file)
    expect([refused.code, refused.stderr]).toEqual([
      expect.any(Number),
      expect.stringContaining('its disk is read-only'),
    ])
    expect(refused.code).not.toBe(0)
    const [, hint = ''] = /hint: make it writable: (.*); the hub goes on/.exec(status) ?? []
    // The hub has mounts of its own in the lab, as a container has.
    execFileSync('nsenter', ['-t', String(await hubPid()), '-m', 'sh', '-c', hint])
    await until('the store works again', async () => !(await network.hub('status')).includes('read-only'))
    await erin.joinBy(token)
    expect((await nodes()).map(({ name }) => name)).toContain('erin')
  })
})
