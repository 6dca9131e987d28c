import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/parse.js'
import type { TunnelConfig } from '../../../src/config/types.js'
import {
  choosePolicyRouting,
  type HostFacts,
  needsPolicyRouting,
  planSystem,
} from '../../../src/daemon/system-plan.js'

const KEY = 'OwdegSTyhlw7Dbpg8VJUBKXF9CxoQp2gAOdwgqtPVBI='
const FACTS: HostFacts = {
  hasDns: true,
  mtu: 1420,
  policy: undefined,
  srcValidMark: '0',
  hasFirewall: true,
  ipv6Fault: undefined,
}
const POLICY = { table: 51_820, priority: { 4: 32_765, 6: 100 } }

function config(lines: string, allowedIps: string): TunnelConfig {
  return parseConfig(
    `[Interface]\n${lines}\n[Peer]\nPublicKey = ${KEY}\nAllowedIPs = ${allowedIps}\n`,
    'test',
  )
}

describe('the plan of a tunnel', () => {
  it('sets addresses and MTU before the link is up, then DNS, then routes', () => {
    const plan = planSystem(config('Address = 10.0.0.1/24\nDNS = 10.0.0.53, home', '10.1.0.0/16'), FACTS)
    expect(plan).toEqual([
      { kind: 'address', prefix: '10.0.0.1/24' },
      { kind: 'mtu', mtu: 1420 },
      { kind: 'linkUp' },
      { kind: 'dns', servers: ['10.0.0.53'], searchDomains: ['home'] },
      { kind: 'route', prefix: '10.1.0.0/16', table: 254 },
    ])
  })

  it('leaves out routes that an address or a wider allowed IP covers by itself', () => {
    const plan = planSystem(config('Address = 10.0.0.1/24', '10.0.0.2/32, 10.0.0.0/8, 192.0.2.1/32'), FACTS)
    expect(plan.filter((change) => change.kind === 'route')).toEqual([
      { kind: 'route', prefix: '192.0.2.1/32', table: 254 },
      { kind: 'route', prefix: '10.0.0.0/8', table: 254 },
    ])
  })

  it('puts every route into a table that the file names, default routes too', () => {
    const tunnel = config('Address = 10.0.0.1/24\nTable = 1234', '10.0.0.2/32, 0.0.0.0/0')
    expect(needsPolicyRouting(tunnel)).toBe(false)
    expect(planSystem(tunnel, FACTS).filter((change) => change.kind !== 'address')).toEqual([
      { kind: 'mtu', mtu: 1420 },
      { kind: 'linkUp' },
      { kind: 'route', prefix: '10.0.0.2/32', table: 1234 },
      { kind: 'route', prefix: '0.0.0.0/0', table: 1234 },
    ])
  })

  it('makes no route and no rule with Table = off', () => {
    const tunnel = config('Table = off', '0.0.0.0/0, 10.0.0.0/8')
    expect(needsPolicyRouting(tunnel)).toBe(false)
    expect(planSystem(tunnel, FACTS).map((change) => change.kind)).toEqual(['mtu', 'linkUp'])
  })

  it('sends a default route through a table of its own, outer datagrams by their mark past it', () => {
    const tunnel = config('Address = 10.0.0.1/24, fd00::1/64', '0.0.0.0/0, ::/0')
    expect(needsPolicyRouting(tunnel)).toBe(true)
    const plan = planSystem(tunnel, { ...FACTS, policy: POLICY })
    expect(plan.slice(4)).toEqual([
      { kind: 'firewall', family: 'ip', addresses: ['10.0.0.1'], mark: 51_820 },
      { kind: 'sysctl', name: 'net.ipv4.conf.all.src_valid_mark', value: '1', previous: '0' },
      { kind: 'route', prefix: '0.0.0.0/0', table: 51_820 },
      { kind: 'rule', family: 4, priority: 32_764, table: 254, suppressPrefixLength: 0 },
      { kind: 'rule', family: 4, priority: 32_765, table: 51_820, unlessMark: 51_820 },
      { kind: 'firewall', family: 'ip6', addresses: ['fd00::1'], mark: 51_820 },
      { kind: 'route', prefix: '::/0', table: 51_820 },
      { kind: 'rule', family: 6, priority: 99, table: 254, suppressPrefixLength: 0 },
      { kind: 'rule', family: 6, priority: 100, table: 51_820, unlessMark: 51_820 },
    ])
  })

  it('writes no setting of the kernel that is so already', () => {
    const tunnel = config('Address = 10.0.0.1/24', '0.0.0.0/0')
    const kinds = planSystem(tunnel, { ...FACTS, policy: POLICY, srcValidMark: '1' }).map(({ kind }) => kind)
    expect(kinds).not.toContain('sysctl')
  })

  it('closes everything else first where a kill switch is asked for, with a default route only', () => {
    const tunnel = { ...config('Address = 10.0.0.1/24', '0.0.0.0/0'), killSwitch: true as const }
    const plan = planSystem(tunnel, { ...FACTS, policy: POLICY })
    expect(plan[0]).toEqual({ kind: 'killSwitch', mark: 51_820 })
    const kinds = planSystem(tunnel, { ...FACTS, policy: undefined }).map(({ kind }) => kind)
    expect(kinds).not.toContain('killSwitch')
  })

  it('plans no packet filter where there is no program for it', () => {
    const tunnel = config('Address = 10.0.0.1/24', '0.0.0.0/0')
    const plan = planSystem(tunnel, { ...FACTS, policy: POLICY, hasFirewall: false })
    expect(plan.some((change) => change.kind === 'firewall')).toBe(false)
  })
})

describe('numbers for policy routing', () => {
  const none = { usedTables: new Set<number>(), priorities: { 4: [0, 32_766, 32_767], 6: [0, 32_766] } }

  it('take the first free table from 51820 on', () => {
    const usedTables = new Set([254, 51_820, 51_821])
    expect(choosePolicyRouting(0, { ...none, usedTables }).table).toBe(51_822)
  })

  it('take the mark of the file if it names one', () => {
    expect(choosePolicyRouting(77, none).table).toBe(77)
  })

  it('put both rules ahead of all others but the local table', () => {
    const priorities = { 4: [0, 500, 32_766], 6: [0, 32_766] }
    expect(choosePolicyRouting(0, { ...none, priorities }).priority).toEqual({ 4: 499, 6: 32_765 })
  })

  it('stay valid priorities however low others are', () => {
    const priorities = { 4: [0, 1], 6: [0, 2] }
    expect(choosePolicyRouting(0, { ...none, priorities }).priority).toEqual({ 4: 2, 6: 2 })
  })
})
