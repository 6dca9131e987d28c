/**
 * All traffic through the tunnel, without the tunnel's own packets going in circles.
 *
 *   left 192.0.2.1 ── router 192.0.2.254 │ 198.51.100.254 ── right 198.51.100.2
 *   10.77.0.1, fd77::1                                        203.0.113.1, 2001:db8:feed::1
 *
 * The router knows neither 203.0.113.0/24 nor any IPv6: what arrives there went through the tunnel.
 */

import { appendFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CAPTURE_PROGRAMS, Capture } from '../support/capture.js'
import { overlayCommand, type Pair, pairName, pairs, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Host, type Lab, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { systemState } from '../support/system-state.js'
import { Side, type Tunnel } from '../support/tunnel.js'

const EVERYTHING = ['0.0.0.0/0', '::/0']
const NO_OUTER6 = { outer6: '' }
const RESTORE_LIMIT_MS = 60_000 // reached only if something stays

interface RoutedTunnel extends Tunnel {
  readonly router: Host
}

/** `interfaceLines`: further lines of the left side, whose allowed IPs are everything. */
async function layRouted(
  lab: Lab,
  pair: Pair,
  interfaceLines: readonly string[] = [],
): Promise<RoutedTunnel> {
  const [leftHost, router, rightHost] = [lab.host('left'), lab.host('router'), lab.host('right')]
  lab.connect(leftHost, router, { left: ['192.0.2.1/24'], right: ['192.0.2.254/24'] })
  lab.connect(rightHost, router, {
    left: ['198.51.100.2/24'],
    right: ['198.51.100.254/24'],
    names: ['eth0', 'eth1'],
  })
  await router.run('sysctl -qw net.ipv4.ip_forward=1')
  await leftHost.run('ip route add default via 192.0.2.254')
  await rightHost.run('ip route add default via 198.51.100.254')
  await rightHost.run('ip addr add 203.0.113.1/32 dev lo')
  await rightHost.run('ip addr add 2001:db8:feed::1/128 dev lo')
  const left = new Side(lab, leftHost, pair[0], {
    ...NO_OUTER6,
    outer4: '192.0.2.1',
    inner4: '10.77.0.1',
    inner6: 'fd77::1',
  })
  const right = new Side(lab, rightHost, pair[1], {
    ...NO_OUTER6,
    outer4: '198.51.100.2',
    inner4: '10.77.0.2',
    inner6: 'fd77::2',
  })
  left.writeConfig(right, { allowedIps: EVERYTHING, interfaceLines }, 4)
  right.writeConfig(left, { knowsEndpoint: false }, 4)
  return { left, right, router }
}

async function everythingThrough(lab: Lab, pair: Pair): Promise<void> {
  const { left, right } = await layRouted(lab, pair)
  const before = await systemState(left.host, left.interfaceName)
  await right.up()
  const capture = await Capture.start(lab, right.host, 'eth0', 'ip')
  await left.up()
  expect(await ping(left.host, '203.0.113.1', 3)).toBe(3)
  expect(await ping(left.host, '2001:db8:feed::1', 3)).toBe(3)
  expect(await ping(left.host, '192.0.2.254', 3), 'the own network stays reachable').toBe(3)
  await capture.stop()
  const types = new Set((await capture.rows(['wg.type'])).flat())
  expect([...types].sort(), 'nothing but WireGuard crosses the router').toEqual(['1', '2', '4'])
  await left.down()
  const state = (): Promise<Record<string, string>> => systemState(left.host, left.interfaceName)
  await expect.poll(state, { timeout: RESTORE_LIMIT_MS }).toEqual(
    // wg-quick leaves the sysctl as it set it.
    left.implementation.name === 'overlay'
      ? before
      : { ...before, 'sysctl net.ipv4.conf.all.src_valid_mark': expect.any(String) },
  )
  expect(await ping(left.host, '203.0.113.1', 1, { waitS: 1 }), 'the way is closed again').toBe(0)
}

async function strictFilter(lab: Lab, pair: Pair): Promise<void> {
  const { left, right } = await layRouted(lab, pair)
  for (const name of ['all', 'default', 'eth0']) {
    await left.host.run(`sysctl -qw net.ipv4.conf.${name}.rp_filter=1`)
  }
  await right.up()
  await left.up()
  expect(await ping(left.host, '203.0.113.1', 3)).toBe(3)
}

/** A neighbour on the outer network must not reach the inner address around the tunnel. */
async function closedToNeighbours(lab: Lab, pair: Pair): Promise<void> {
  const { left, right, router } = await layRouted(lab, pair)
  await right.up()
  await left.up()
  expect(await ping(left.host, '203.0.113.1', 1)).toBe(1)
  await router.run('ip route add 10.77.0.1/32 via 192.0.2.1')
  expect(await ping(router, '10.77.0.1', 2, { waitS: 1 })).toBe(0)
  // It is the packet filter that keeps it closed: without it the same packets are answered.
  await left.host.run('nft flush ruleset')
  expect(await ping(router, '10.77.0.1', 2)).toBe(2)
}

async function ownTable(lab: Lab, pair: Pair): Promise<void> {
  const { left, right } = await layRouted(lab, pair, ['Table = 1234'])
  await right.up()
  await left.up()
  expect(await left.host.run('ip route show table 1234')).toContain(`default dev ${left.interfaceName}`)
  expect(await left.host.run('ip -4 rule')).not.toContain('fwmark')
  expect(await left.host.run('ip route show default')).toContain('via 192.0.2.254')
  await left.down()
}

/** Nothing leaves beside the tunnel, whatever became of its daemon, until somebody says so. */
async function killSwitch(lab: Lab, pair: Pair): Promise<void> {
  const { left, right } = await layRouted(lab, pair)
  const before = await systemState(left.host, left.interfaceName)
  appendFileSync(left.file, '\n[Overlay]\nKillSwitch = yes\n')
  await right.up()
  await left.up()
  expect(await ping(left.host, '203.0.113.1', 3)).toBe(3)
  expect(await ping(left.host, '198.51.100.254', 1, { waitS: 1 }), 'past the tunnel').toBe(0)
  for (const pid of left.host.backgroundPids()) process.kill(pid, 'SIGKILL')
  const away = ['198.51.100.2', '192.0.2.254']
  for (const address of away) {
    expect(await ping(left.host, address, 1, { waitS: 1 }), `${address}, daemon gone`).toBe(0)
  }
  await left.up()
  expect(await ping(left.host, '203.0.113.1', 3), 'back').toBe(3)
  for (const pid of left.host.backgroundPids()) process.kill(pid, 'SIGKILL')
  appendFileSync(left.file, 'Hub = nowhere\n')
  expect((await left.host.tryRun([overlayCommand, 'up', left.file])).code).not.toBe(0)
  expect(await ping(left.host, '192.0.2.254', 1, { waitS: 1 }), 'after a start that failed').toBe(0)
  await left.host.run([overlayCommand, 'down', left.interfaceName, '--crashed'])
  expect(await ping(left.host, '192.0.2.254', 1, { waitS: 1 }), 'until it comes back').toBe(0)
  await left.host.run([overlayCommand, 'down', left.interfaceName])
  for (const address of away) expect(await ping(left.host, address, 1), `${address}, open`).toBe(1)
  const state = (): Promise<Record<string, string>> => systemState(left.host, left.interfaceName)
  await expect.poll(state, { timeout: RESTORE_LIMIT_MS }).toEqual(before)
}

for (const pair of pairs) {
  requirement(`default route: ${pairName(pair)}`, [...TUNNEL_PROGRAMS, ...CAPTURE_PROGRAMS, 'nft'], () => {
    test('takes all traffic of both families through the tunnel, and down puts all back', () =>
      withLab((lab) => everythingThrough(lab, pair)))
    test('works under strict reverse path filtering', () => withLab((lab) => strictFilter(lab, pair)))
    test('keeps the inner address closed to neighbours on the outer network', () =>
      withLab((lab) => closedToNeighbours(lab, pair)))
    test('leaves the main tables alone where the file names a table', () =>
      withLab((lab) => ownTable(lab, pair)))
    if (pair[0].name === 'overlay') {
      test('lets nothing out beside the tunnel with a kill switch, also when the daemon was killed', () =>
        withLab((lab) => killSwitch(lab, pair)))
    }
  })
}
