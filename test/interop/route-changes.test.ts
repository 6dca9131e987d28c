/**
 * The route to a peer moves to another link: messages leave from an address of that link at once.
 *
 *            ┌─ cable  192.0.2.1    ──── 192.0.2.2    ─┐
 *       left ┤                                         ├ right 203.0.113.9
 *            └─ wifi   198.51.100.1 ──── 198.51.100.2 ─┘
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { pairs, subject, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { LISTEN_PORT, layTunnel, type Tunnel, untilOpen } from '../support/tunnel.js'

const RIGHT = '203.0.113.9'
const PINGS = 5

async function untilAt({ right }: Tunnel, address: string): Promise<void> {
  await until(`left at ${address}`, async () => (await right.endpoint()) === `${address}:${LISTEN_PORT}`)
}

/** Up, over the cable; left has learnt by which of its addresses right writes to it. */
async function openByCable(lab: Lab): Promise<Tunnel> {
  const [pair = [subject, subject]] = pairs
  const tunnel = layTunnel(lab, pair, { right: { knowsEndpoint: false } })
  const { left, right } = tunnel
  lab.connect(left.host, right.host, {
    left: ['198.51.100.1/24'],
    right: ['198.51.100.2/24'],
    names: ['wifi', 'wifi'],
  })
  await right.host.run(`ip addr add ${RIGHT}/32 dev lo`)
  await left.host.run(`ip route add ${RIGHT} via 192.0.2.2 dev eth0`)
  const text = readFileSync(left.file, 'utf8')
  writeFileSync(left.file, text.replace(/^Endpoint = .*$/m, `Endpoint = ${RIGHT}:${LISTEN_PORT}`))
  await Promise.all([left.up(), right.up()])
  await untilOpen(tunnel)
  expect(await ping(right.host, left.addresses.inner4, 3)).toBe(3)
  await untilAt(tunnel, '192.0.2.1')
  return tunnel
}

async function followsRoute(lab: Lab): Promise<void> {
  const tunnel = await openByCable(lab)
  const { left, right } = tunnel
  const answers = ping(left.host, right.addresses.inner4, PINGS, { intervalS: 1 })
  // Whatever is sent to the address of the cable is lost from now on.
  await right.host.run('ip rule add to 192.0.2.1 priority 100 blackhole')
  await left.host.run(`ip route replace ${RIGHT} via 198.51.100.2 dev wifi`)
  await untilAt(tunnel, '198.51.100.1')
  expect(await answers).toBeGreaterThanOrEqual(PINGS - 1)

  await right.host.run('ip rule del to 192.0.2.1 priority 100 blackhole')
  await left.host.run(`ip route replace ${RIGHT} via 192.0.2.2 dev eth0`)
  expect(await ping(left.host, right.addresses.inner4)).toBe(1)
  await untilAt(tunnel, '192.0.2.1')
}

async function followsRule(lab: Lab): Promise<void> {
  const tunnel = await openByCable(lab)
  const { left, right } = tunnel
  await left.host.run(`ip route add ${RIGHT} via 198.51.100.2 dev wifi table 100`)
  await left.host.run(`ip rule add to ${RIGHT} priority 100 lookup 100`)
  expect(await ping(left.host, right.addresses.inner4, 2)).toBe(2)
  await untilAt(tunnel, '198.51.100.1')
}

async function followsMark(lab: Lab): Promise<void> {
  const tunnel = await openByCable(lab)
  const { left, right } = tunnel
  await left.host.run(`ip route add ${RIGHT} via 198.51.100.2 dev wifi table 100`)
  await left.host.run('ip rule add fwmark 7 priority 100 lookup 100')
  expect(await ping(left.host, right.addresses.inner4)).toBe(1)
  await untilAt(tunnel, '192.0.2.1')
  await left.set('fwmark 7')
  expect(await ping(left.host, right.addresses.inner4)).toBe(1)
  await untilAt(tunnel, '198.51.100.1')
}

/** While right goes on writing to the address of the cable, which it can reach. */
async function followsUnderLoad(lab: Lab): Promise<void> {
  const tunnel = await openByCable(lab)
  const { left, right } = tunnel
  const stream = right.host.start(`ping -q -i 0.01 ${left.addresses.inner4}`)
  await left.host.run(`ip route replace ${RIGHT} via 198.51.100.2 dev wifi`)
  await untilAt(tunnel, '198.51.100.1')
  await stream.stop()
}

requirement(`routes that move, with ${subject.name}`, TUNNEL_PROGRAMS, () => {
  test('the source follows a route to another link, and one ping is lost at most', () =>
    withLab(followsRoute))
  test('the source follows a new rule', () => withLab(followsRule))
  test('the source follows a new mark', () => withLab(followsMark))
  test('the source follows while the peer writes to the old one', () => withLab(followsUnderLoad))
})
