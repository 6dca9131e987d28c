import { expect, it } from 'vitest'
import { formatEndpoint } from '../../../src/net/endpoint.js'
import { formatIp, type IpAddress } from '../../../src/net/ip.js'
import { type Candidate, MAX_CANDIDATES } from '../../../src/paths/disco.js'
import { Targets } from '../../../src/paths/targets.js'
import { endpoint } from '../../support/simulated-nat.js'

const OWN = { prefixes: [], isOverlay: () => false }

/** A whole list of endpoints at one address. */
function listAt(address: string): Candidate[] {
  return Array.from({ length: MAX_CANDIDATES }, (_, i) => ({
    kind: 'reflexive',
    endpoint: endpoint(address, 5000 + i),
  }))
}

/** Pings to all that the peer names, as often as allowed. */
function pingAll(targets: Targets, nowMs: number): number {
  let pings = 0
  for (const to of targets.endpoints) while (targets.tryOnce(to, nowMs)) pings += 1
  return pings
}

it('a peer that names two lists in turn does not have each of them tried anew', () => {
  const targets = new Targets()
  let pings = 0
  for (let i = 0; i < 1000; i++) {
    targets.replace(listAt(`198.18.${i % 2}.1`), OWN, i)
    pings += pingAll(targets, i)
  }
  // Sixteen to each of four lists, within the minute.
  expect(pings).toBe(16 * 4 * MAX_CANDIDATES)
  expect(targets.size).toBe(0)
})

it('it may name others after a minute, and what stays named goes on as it was', () => {
  const targets = new Targets()
  for (let i = 0; i < 5; i++) targets.replace(listAt(`198.18.${i}.1`), OWN, 0)
  expect(targets.size).toBe(0)
  targets.replace(listAt('198.18.9.1'), OWN, 60_001)
  expect(targets.size).toBe(MAX_CANDIDATES)
  expect(pingAll(targets, 60_001)).toBe(16 * MAX_CANDIDATES)
  for (let i = 0; i < 100; i++) targets.replace(listAt('198.18.9.1'), OWN, 60_002)
  expect([targets.size, pingAll(targets, 60_002)]).toEqual([MAX_CANDIDATES, 0])
})

it('what is inside an overlay is not pinged, nor what a route leads there later', () => {
  const targets = new Targets()
  let inside = new Set(['100.70.0.2'])
  const isOverlay = (address: IpAddress): boolean => inside.has(formatIp(address))
  const candidates = ['100.70.0.2', '192.168.1.2', '203.0.113.1'].map(
    (address): Candidate => ({ kind: 'local', endpoint: endpoint(address, 5000) }),
  )
  targets.replace(candidates, { prefixes: [], isOverlay }, 0)
  expect(targets.endpoints.map(formatEndpoint)).toEqual(['192.168.1.2:5000', '203.0.113.1:5000'])
  inside = new Set(['192.168.1.2'])
  targets.dropOverlays(isOverlay)
  expect(targets.endpoints.map(formatEndpoint)).toEqual(['203.0.113.1:5000'])
})

it.each([
  '169.254.169.254',
  '169.254.7.1',
  'fe80::1',
  '100.100.100.200',
  'fd00:ec2::254',
  '127.0.0.1',
  '::1',
])('nobody is sought at %s, whoever says so', (address) => {
  const targets = new Targets()
  targets.replace([{ kind: 'local', endpoint: endpoint(address, 5000) }], OWN, 0)
  expect(targets.size).toBe(0)
})
