/**
 * Overlays beside each other on the same machines. None of them ever runs inside another.
 *
 *   a — NAT — internet (two hubs, with relay and STUN) — NAT — b
 */

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Internet } from '../../src/lab/internet.js'
import { LabNetwork, type LabNode } from '../../src/lab/network.js'
import type { Site } from '../../src/lab/site.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import { formatKeyBase64, keyFromBytes, type PrivateKey } from '../../src/wireguard/keys.js'
import { requirement } from '../support/requirement.js'

const OTHER_HUB = ['--port', '8443', '--stun-port', '4478']
const OVERLAY_ADDRESS = /^(100\.|\[f[cd]|10\.77\.)/
const PINGS = ['-q', '-i', '0.05', '-c', '60', '-W', '1']
/** 60 pings are 5040 bytes; two networks in each other made hundreds of megabytes of them. */
const MAX_BYTES = 50_000

async function pingAll(from: LabNode, to: LabNode): Promise<number | null> {
  return (await from.site.host.run(['ping', ...PINGS, await to.address()])).code
}

/** What went out by the interface so far. */
function sentBytes({ host }: Site, interfaceName: string): number {
  return Number(host.runSync('cat', `/sys/class/net/${interfaceName}/statistics/tx_bytes`))
}

requirement('overlays beside each other', ['ip', 'nft', 'conntrack', 'ping'], () => {
  describe('two networks on the same two machines', () => {
    let internet: Internet
    let nodes: [LabNode, LabNode][]

    beforeAll(async () => {
      internet = await Internet.open({ rttMs: 10, lossPercent: 0 })
      const sites = [internet.addSite('portRestricted'), internet.addSite('portRestricted')]
      const networks = [
        await LabNetwork.start(internet),
        await LabNetwork.start(internet, { name: 'other', hubInit: OTHER_HUB }),
      ]
      nodes = []
      for (const network of networks) {
        const [a, b] = await Promise.all(
          sites.map(async (site, i) => await network.addNode(site, i === 0 ? 'a' : 'b')),
        )
        if (a === undefined || b === undefined) throw new Error('no nodes')
        await Promise.all([a.up(), b.up()])
        nodes.push([a, b])
      }
      await Promise.all(
        nodes.flat().map(async (node) => await node.untilKnown(node.name === 'a' ? 'b' : 'a')),
      )
    })
    afterAll(() => internet?.close())

    test('have direct paths of their own, and name no address of each other', async () => {
      for (const [a] of nodes) expect((await a.ping('b', '--until-direct', '--count', '100')).code).toBe(0)
      for (const [a, b] of nodes) {
        const reports = [await a.why('b'), await b.why('a')]
        for (const { kind, endpoint, peerCandidates } of reports) {
          expect(['punched', 'direct', 'lan']).toContain(kind)
          for (const text of [endpoint, ...peerCandidates]) expect(text).not.toMatch(OVERLAY_ADDRESS)
        }
      }
    })

    test('go over their relays without a direct path, and not through each other', async () => {
      internet.setDirectCut(true)
      // Until the paths are lost.
      await Promise.all(nodes.map(async ([a, b]) => await pingAll(a, b)))
      const before = nodes.map(([{ site, interfaceName }]) => sentBytes(site, interfaceName))
      expect(await Promise.all(nodes.map(async ([a, b]) => await pingAll(a, b)))).toEqual([0, 0])
      for (const [i, [a]] of nodes.entries()) {
        const { kind, events } = await a.why('b')
        expect(kind).toBe('relay')
        for (const { text } of events) expect(text).not.toMatch(/100\.\d+\.\d+\.\d+|\[f[cd]/)
        expect(sentBytes(a.site, a.interfaceName) - (before[i] ?? 0)).toBeLessThan(MAX_BYTES)
      }
    })

    test('a member that names an address of the other network is not sought there', async () => {
      internet.setDirectCut(false)
      const [[a], [other, victim]] = nodes as [[LabNode, LabNode], [LabNode, LabNode]]
      const [, b] = nodes[0] as [LabNode, LabNode]
      // To b's machine, without the other network, it is an ordinary address of its own.
      const address = await victim.address()
      await victim.down()
      b.site.host.ip('addr', 'add', `${address}/32`, 'dev', 'eth0')
      const before = sentBytes(other.site, other.interfaceName)
      const isNamed = async (): Promise<boolean> => {
        await a.ping('b', '--count', '2')
        return (await a.why('b')).peerCandidates.some((text) => text.startsWith(`${address}:`))
      }
      await expect.poll(isNamed, { timeout: 20_000, interval: 200 }).toBe(true)
      expect((await a.ping('b', '--until-direct', '--count', '100')).code).toBe(0)
      expect((await a.why('b')).endpoint).not.toContain(address)
      expect(sentBytes(other.site, other.interfaceName)).toBe(before)
    })
  })

  test('a network goes over its relay and not through a WireGuard tunnel between the two machines', async () => {
    const internet = await Internet.open({ rttMs: 10, lossPercent: 0 })
    try {
      const sites = [internet.addSite('open'), internet.addSite('open')] as const
      const tunnel = `wg${process.pid.toString(36)}`
      await bringUpTunnel(internet, sites, tunnel)
      for (const [i, { host }] of sites.entries()) {
        const from = `ip saddr ${sites[1 - i]?.address}`
        const rules = [`${from} udp dport != 51999 drop`, `${from} tcp dport 1-65535 drop`]
        host.addRules(
          `table ip only {\n chain in {\n type filter hook input priority 0\n ${rules.join('\n')}\n}\n}`,
        )
      }
      const network = await LabNetwork.start(internet)
      const a = await network.addNode(sites[0], 'a')
      const b = await network.addNode(sites[1], 'b')
      await Promise.all([a.up(), b.up()])
      await Promise.all([a.untilKnown('b'), b.untilKnown('a')])
      expect((await a.site.host.run(['ping', ...PINGS, '10.77.0.2'])).code).toBe(0)
      const before = sentBytes(a.site, `${tunnel}a`)
      expect(await pingAll(a, b)).toBe(0)
      const { kind, peerCandidates } = await a.why('b')
      expect(kind).toBe('relay')
      for (const text of peerCandidates) expect(text).not.toMatch(OVERLAY_ADDRESS)
      expect(sentBytes(a.site, `${tunnel}a`)).toBe(before)
    } finally {
      internet.close()
    }
  })
})

/** Plain WireGuard, from files: 10.77.0.1 and 10.77.0.2. */
async function bringUpTunnel(internet: Internet, sites: readonly Site[], name: string): Promise<void> {
  const keys = sites.map(() => keyFromBytes<PrivateKey>(new Uint8Array(randomBytes(32))))
  for (const [i, site] of sites.entries()) {
    const [own, peer] = [keys[i], keys[1 - i]] as [PrivateKey, PrivateKey]
    const interfaceName = `${name}${i === 0 ? 'a' : 'b'}`
    internet.removeTracesOf(interfaceName)
    const file = join(internet.directory, `${interfaceName}.conf`)
    const lines = [
      '[Interface]',
      `PrivateKey = ${formatKeyBase64(own)}`,
      `Address = 10.77.0.${i + 1}/24`,
      'ListenPort = 51999',
      '[Peer]',
      `PublicKey = ${formatKeyBase64(nodeCrypto.dhPrivateKey(peer).publicKey)}`,
      `Endpoint = ${sites[1 - i]?.address}:51999`,
      'AllowedIPs = 10.77.0.0/24',
    ]
    writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 })
    const { code, stderr } = await site.host.run([process.execPath, 'bin/overlay', 'up', file])
    if (code !== 0) throw new Error(stderr)
  }
}
