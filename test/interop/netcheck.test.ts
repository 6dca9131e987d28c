/**
 * `overlay netcheck` against coturn, from behind NATs made of nftables.
 *
 *   client ────────── router ────────── server
 *   192.168.1.2    .1 │ 203.0.113.1     203.0.113.10, .11     coturn on 3478, 3479 of both
 *   2001:db8:1::2  ::1│ 2001:db8:2::1   2001:db8:2::10, ::11  (v6: routed, not translated)
 */

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NetcheckReport } from '../../src/daemon/netcheck.js'
import { type Host, Lab, until } from '../support/lab.js'
import type { BackgroundProcess } from '../support/processes.js'
import { requirement } from '../support/requirement.js'

const OVERLAY = join(import.meta.dirname, '../../bin/overlay')
const SERVERS = ['203.0.113.10', '203.0.113.11', '2001:db8:2::10', '2001:db8:2::11'] as const
/** Enough for all that a survey opens, and for what it sends again. */
const SEQUENCE_PORTS = 512

requirement('netcheck', ['nft', 'conntrack', 'turnserver', 'miniupnpd', 'ip'], () => {
  const lab = new Lab()
  let client: Host
  let router: Host
  let stun: BackgroundProcess

  beforeAll(async () => {
    client = lab.host('client')
    router = lab.host('router')
    const server = lab.host('server')
    lab.connect(client, router, {
      left: ['192.168.1.2/24', '2001:db8:1::2/64'],
      right: ['192.168.1.1/24', '2001:db8:1::1/64'],
      names: ['eth0', 'lan'],
    })
    lab.connect(router, server, {
      left: ['203.0.113.1/24', '2001:db8:2::1/64'],
      right: SERVERS.map((address) => `${address}/${address.includes(':') ? 64 : 24}`),
      names: ['wan', 'eth0'],
    })
    await router.run('sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1')
    await client.run('ip route add default via 192.168.1.1')
    await client.run('ip -6 route add default via 2001:db8:1::1')
    await server.run('ip -6 route add default via 2001:db8:2::1')
    const listening = SERVERS.flatMap((address) => ['--listening-ip', address])
    const files = ['--log-file', 'stdout', '--pidfile', join(lab.directory, 'turn.pid')]
    const database = ['--userdb', join(lab.directory, 'turn.db')]
    const stunOnly = ['-n', '-S', '--no-tls', '--no-dtls', '--no-cli']
    stun = server.start(['turnserver', ...stunOnly, ...listening, ...files, ...database])
    await until('coturn answers', async () => (await report('')).ipv6?.udp)
  })
  afterAll(async () => {
    await stun?.stop('SIGKILL')
    lab.close()
  })

  /** Replaces the router's rules, and forgets what it translated before. */
  async function translate(rules: string): Promise<void> {
    await router.run('nft flush ruleset')
    const table = `table ip nat {
      chain in { type nat hook prerouting priority -100; ${part(rules, 'in')} }
      chain out { type nat hook postrouting priority 100; ${part(rules, 'out')} }
      chain pass { type filter hook forward priority 0; ${part(rules, 'pass')} }
    }`
    await router.run('nft -f -', { input: table })
    await router.run('conntrack -F')
  }

  async function report(rules: string): Promise<NetcheckReport> {
    await translate(rules)
    const { stdout } = await client.tryRun([OVERLAY, 'netcheck', '203.0.113.10', SERVERS[2], '--json'])
    return JSON.parse(stdout) as NetcheckReport
  }

  describe('tells', () => {
    test('a machine with an address of its own, over v6', async () => {
      const { ipv6 } = await report('')
      expect(ipv6).toMatchObject({ udp: true, mapping: 'none', filtering: 'endpointIndependent' })
      expect(ipv6?.mapped).toMatch(/^\[2001:db8:1::2\]:\d+$/)
      expect(ipv6?.servers[0]).toMatchObject({ endpoint: '[2001:db8:2::10]:3478' })
    })

    test('a Linux home router', async () => {
      expect((await report('out: oifname wan masquerade')).ipv4).toMatchObject({
        udp: true,
        mapping: 'endpointIndependent',
        filtering: 'addressAndPortDependent',
        ports: null,
        hairpin: false,
      })
    })

    test('a full cone', async () => {
      const rules = 'out: oifname wan masquerade | in: iifname wan meta l4proto udp dnat to 192.168.1.2'
      expect((await report(rules)).ipv4).toMatchObject({
        mapping: 'endpointIndependent',
        filtering: 'endpointIndependent',
      })
    })

    test('a symmetric NAT over all ports', async () => {
      const { ipv4 } = await report(
        'out: oifname wan meta l4proto udp masquerade to :1024-65535 fully-random',
      )
      expect(ipv4).toMatchObject({
        mapping: 'addressAndPortDependent',
        filtering: 'addressAndPortDependent',
        ports: { kind: 'random', high: 65535 },
      })
    })

    test('a carrier’s block of ports', async () => {
      const { ipv4 } = await report('out: oifname wan meta l4proto udp masquerade to :5120-5631 fully-random')
      expect(ipv4?.mapping).toBe('addressAndPortDependent')
      const ports = ipv4?.ports
      expect(ports?.kind).toBe('random')
      if (ports?.kind !== 'random') return
      expect(ports.high - ports.low).toBeLessThan(1024)
    })

    test('a symmetric NAT that counts', async () => {
      const places = Array.from({ length: SEQUENCE_PORTS }, (_, i) => `${i} : 203.0.113.1 . ${20_000 + i}`)
      const map = `numgen inc mod ${SEQUENCE_PORTS} map { ${places.join(', ')} }`
      const { ipv4 } = await report(`out: oifname wan meta l4proto udp snat ip addr . port to ${map}`)
      expect(ipv4).toMatchObject({
        mapping: 'addressAndPortDependent',
        ports: { kind: 'sequential', step: 1 },
      })
    })

    test('a network without UDP, by an exit code too', async () => {
      await translate('out: oifname wan masquerade | pass: meta l4proto udp drop')
      const { code, stdout } = await client.tryRun([OVERLAY, 'netcheck', '203.0.113.10'])
      expect(code).toBe(1)
      expect(stdout).toContain('UDP does not come through')
    })
  })

  test('tells what mapping protocols the router speaks', async () => {
    const silent = await report('out: oifname wan masquerade')
    expect(silent.router).toMatchObject({ address: '192.168.1.1', pcp: false, natPmp: false, upnp: false })
    const config = lab.file(
      [
        'ext_ifname=wan',
        'listening_ip=lan',
        // It refuses to serve behind an address that is set aside for documentation.
        'ext_ip=5.5.5.5',
        'enable_natpmp=yes',
        'enable_upnp=yes',
        'secure_mode=yes',
        'uuid=00000000-0000-0000-0000-000000000000',
        'allow 1024-65535 192.168.1.0/24 1024-65535',
      ].join('\n'),
    )
    const daemon = router.start(['miniupnpd', '-d', '-f', config, '-P', join(lab.directory, 'upnp.pid')])
    try {
      await until('the router answers', async () => {
        const { router: found } = await report('out: oifname wan masquerade')
        return found?.pcp && found.natPmp && found.upnp && found.external === '5.5.5.5'
      })
    } finally {
      await daemon.stop('SIGKILL')
    }
  })

  test('tells whether the proxy of the environment takes connections, and never its password', async () => {
    await translate('out: oifname wan masquerade')
    // coturn takes TCP connections on the same ports.
    for (const [port, reach] of [
      [3478, 'takes connections, in'],
      [3999, 'takes no connection'],
    ]) {
      const env = { https_proxy: `http://ada:s3cret@203.0.113.10:${port}` }
      const text = await client.run([OVERLAY, 'netcheck', '203.0.113.10'], { env })
      expect(text).toContain(`proxy 203.0.113.10:${port}, from https_proxy with credentials: ${reach}`)
      expect(text).not.toContain('s3cret')
    }
  })

  test('says it in words', async () => {
    await translate('out: oifname wan masquerade')
    const text = await client.run([OVERLAY, 'netcheck', '203.0.113.10'])
    expect(text).toContain('NAT:       easy: one external port for all destinations')
    expect(text).toMatch(/server: {4}203\.0\.113\.10:3478 answers in \d/)
  })
})

/** The rules after `name:` in a list whose parts are divided by `|`. */
function part(rules: string, name: string): string {
  const found = rules.split('|').find((candidate) => candidate.trim().startsWith(`${name}:`))
  return found === undefined ? '' : `${found.trim().slice(name.length + 1)}\n`
}
