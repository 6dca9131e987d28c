import { describe, expect, it } from 'vitest'
import { formatNetcheck } from '../../../src/cli/netcheck-view.js'
import type { FamilyReport } from '../../../src/daemon/netcheck.js'

const HARD: FamilyReport = {
  udp: true,
  isStunDropped: false,
  mapped: '203.0.113.1:5200',
  mapping: 'addressAndPortDependent',
  filtering: 'addressAndPortDependent',
  ports: { kind: 'random', low: 5120, high: 5631 },
  hairpin: false,
  servers: [
    { endpoint: '198.51.100.1:3478', rttMs: 20.4, fault: null },
    { endpoint: '198.51.100.2:3478', rttMs: null, fault: null },
  ],
}

describe('what netcheck prints', () => {
  it('tells of a hard NAT everything that was learnt', () => {
    expect(formatNetcheck({ ipv4: HARD, ipv6: null, router: null, proxy: null })).toBe(
      [
        'IPv4: UDP works',
        '  seen as:   203.0.113.1:5200',
        '  NAT:       hard: another external port for each destination (address-and-port-dependent, “symmetric”)',
        '  filtering: strict: answers come only from the address and port that was sent to',
        '  ports:     at random from 5120 to 5631',
        '  hairpin:   no',
        '  server:    198.51.100.1:3478 answers in 20.4 ms',
        '  server:    198.51.100.2:3478 does not answer',
        'IPv6: not asked: no server with such an address, or none here',
      ].join('\n'),
    )
  })

  it('leaves out what does not apply, and says what is not known', () => {
    const plain: FamilyReport = {
      ...HARD,
      mapping: 'unknown',
      filtering: 'unknown',
      ports: { kind: 'sequential', step: 2 },
      hairpin: null,
    }
    const text = formatNetcheck({ ipv4: plain, ipv6: null, router: null, proxy: null })
    expect(text).toContain('NAT:       not known: it takes two servers')
    expect(text).toContain('ports:     in order, each 2 above the one before')
    expect(text).not.toContain('hairpin')
  })

  it('says what the router speaks', () => {
    const router = { address: '192.168.1.1', pcp: true, natPmp: true, upnp: false, external: '203.0.113.1' }
    expect(formatNetcheck({ ipv4: HARD, ipv6: null, router, proxy: null })).toContain(
      'router 192.168.1.1: maps ports on request, by PCP, NAT-PMP; it says its external address is 203.0.113.1',
    )
    const mute = { ...router, pcp: false, natPmp: false, external: null }
    expect(formatNetcheck({ ipv4: HARD, ipv6: null, router: mute, proxy: null })).toContain(
      'router 192.168.1.1: maps no ports on request',
    )
  })

  it('says what proxy there is', () => {
    const proxy = { endpoint: 'proxy:3128', variable: 'https_proxy', needsCredentials: true, connectMs: 2.5 }
    expect(formatNetcheck({ ipv4: HARD, ipv6: null, router: null, proxy })).toContain(
      'proxy proxy:3128, from https_proxy with credentials: takes connections, in 2.5 ms',
    )
    const dead = { ...proxy, needsCredentials: false, connectMs: null }
    expect(formatNetcheck({ ipv4: HARD, ipv6: null, router: null, proxy: dead })).toContain(
      'proxy proxy:3128, from https_proxy: takes no connection',
    )
  })

  it('says where UDP does not come through, and whom it asked', () => {
    const blocked: FamilyReport = { ...HARD, udp: false, mapped: null }
    expect(formatNetcheck({ ipv4: blocked, ipv6: blocked, router: null, proxy: null })).toContain(
      'IPv4: UDP does not come through, or nobody answers at 198.51.100.1:3478, 198.51.100.2:3478',
    )
  })
})
