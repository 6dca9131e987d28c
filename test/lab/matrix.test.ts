/**
 * Pairs of NATs, real programs and a real kernel between them: a table of what gets through, by which
 * technique, in which time, with how many probes. Times are printed and never judged.
 */

import { afterAll, describe, expect, test } from 'vitest'
import { formatTable } from '../../src/cli/units.js'
import { Internet } from '../../src/lab/internet.js'
import { measurePair, PAIR_COLUMNS, type PairResult, pairRow } from '../../src/lab/matrix.js'
import { measureMesh } from '../../src/lab/mesh.js'
import { LabNetwork } from '../../src/lab/network.js'
import type { RouterKind } from '../../src/lab/routers.js'
import { MAPPING_PROTOCOLS } from '../../src/lab/site.js'
import { until } from '../support/lab.js'
import { requirement } from '../support/requirement.js'

const RTT_MS = 40

requirement('paths through NATs', ['ip', 'nft', 'conntrack', 'miniupnpd'], () => {
  const results: PairResult[] = []

  afterAll(() => {
    process.stdout.write(`${formatTable([PAIR_COLUMNS, ...results.map(pairRow)])}\n`)
  })

  async function measure(left: RouterKind, right: RouterKind, tries: number, more = {}): Promise<PairResult> {
    const result = await measurePair(left, right, { rttMs: RTT_MS, lossPercent: 0, tries, ...more })
    results.push(result)
    return result
  }

  describe('always direct', () => {
    test.each([
      ['open', 'portRestricted'],
      ['fullCone', 'fullCone'],
      ['addressRestricted', 'portRestricted'],
      ['portRestricted', 'portRestricted'],
      ['carrierDouble', 'carrierDouble'],
      ['symmetricRandom', 'addressRestricted'],
    ] as const)('%s × %s', async (left, right) => {
      const { direct, tries } = await measure(left, right, 2)
      expect(direct).toBe(tries)
    })

    test('over IPv6, through firewalls with state', async () => {
      const { direct, tries, kinds } = await measure('symmetricRandom', 'symmetricRandom', 2, { hasV6: true })
      expect([direct, kinds]).toEqual([tries, ['direct']])
    })

    test.each(MAPPING_PROTOCOLS)('where one router maps ports on request, by %s alone', async (mapping) => {
      const { direct, tries } = await measure('symmetricRandom', 'symmetricRandom', 2, { mapping })
      expect(direct).toBe(tries)
    })

    test('with every fifth packet lost', async () => {
      const { direct, tries } = await measure('portRestricted', 'portRestricted', 3, { lossPercent: 20 })
      expect(direct).toBe(tries)
    })
  })

  test.each(MAPPING_PROTOCOLS)('a router has its ports back after down, by %s', async (mapping) => {
    const internet = await Internet.open({ rttMs: 0, lossPercent: 0 })
    try {
      const network = await LabNetwork.start(internet)
      const site = internet.addSite('symmetricRandom')
      internet.startMapping(site, mapping)
      const node = await network.addNode(site, 'a')
      await node.up()
      await until('UDP and TCP are mapped', () => internet.mappings(site).split('dnat').length === 3)
      expect(internet.mappings(site)).toContain('dport 443 ')
      await node.down()
      await until('the ports are given back', () => !internet.mappings(site).includes('dnat'))
    } finally {
      internet.close()
    }
  })

  // By chance: one of so many tries may fail.
  test.each([
    ['portRestricted', 'symmetricSequential', 'bracket and sweep'],
    ['portRestricted', 'symmetricRandom', 'fan and spray'],
    ['portRestricted', 'carrierBlock', 'fan and spray'],
    ['carrierBlock', 'carrierBlock', 'blocks'],
    ['symmetricSequential', 'symmetricSequential', 'meet'],
    ['answering', 'symmetricRandom', 'fan and spray'],
    ['answering', 'symmetricSequential', 'bracket and sweep'],
  ] as const)('%s × %s: %s', async (left, right, technique) => {
    const { direct, tries, techniques } = await measure(left, right, 3)
    expect(direct).toBeGreaterThanOrEqual(tries - 1)
    expect(techniques).toContain(technique)
  })

  // A server with one address takes such a NAT for an easy one; what the peer sees tells better.
  test.each([
    ['portRestricted', false],
    ['symmetricRandom', false],
    ['addressDependent', false],
    ['portRestricted', true],
    ['symmetricRandom', true],
    ['addressDependent', true],
  ] as const)('another port for each address × %s; one STUN address: %s', async (right, hasOneAddress) => {
    const { direct, codes } = await measure('addressDependent', right, 3, { hasOneAddress })
    expect(direct).toBeGreaterThan(0)
    expect(codes).not.toContain('FILTERED')
  })

  test.each([
    ['portRestricted', 'bracket and sweep'],
    ['symmetricSequential', 'meet'],
  ] as const)('%s × ports in order, of which others take 200 a second: %s', async (left, technique) => {
    const more = { foreignFlowsPerS: 200 }
    const { direct, tries, techniques } = await measure(left, 'symmetricSequential', 3, more)
    expect(direct).toBeGreaterThanOrEqual(tries - 1)
    expect(techniques).toContain(technique)
  })

  test.each([
    ['portRestricted', 'portRestricted'],
    ['portRestricted', 'carrierBlock'],
  ] as const)('%s × %s, where STUN is recognised and dropped', async (left, right) => {
    const { direct, tries } = await measure(left, right, 3, { fault: 'stunDropped' })
    expect(direct).toBeGreaterThanOrEqual(tries - 1)
  })

  // What comes early from one of them must not cost the others their paths.
  test('five that talk to each other at once, one behind a router that answers what nobody asked for', async () => {
    const kinds = ['answering', 'symmetricRandom', 'fullCone', 'portRestricted', 'portRestricted'] as const
    const pairs = await measureMesh(kinds, { rttMs: RTT_MS, lossPercent: 0 })
    for (const { pair, ms, kind } of pairs) process.stdout.write(`${pair}: ${ms} ms, ${kind}\n`)
    expect(pairs.filter(({ ms }) => ms === null)).toEqual([])
    expect(pairs.length).toBe(10)
  })

  test('symmetric on both sides: the relay, and the reason', async () => {
    const { direct, codes, probes } = await measure('symmetricRandom', 'symmetricRandom', 1)
    expect([direct, codes]).toEqual([0, ['BOTH_NATS_HARD']])
    expect(probes).toBeLessThan(1100)
  })
})
