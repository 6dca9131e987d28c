/**
 * Allowed IPs choose the peer on the way out and judge the source on the way in, at run time.
 *
 *   right 192.0.2.2 ── eth0 ── left ── eth1 ── 192.0.3.3 third
 *   10.77.0.2, 10.77.0.9                       10.77.0.3, 10.77.0.9
 */

import { expect, test } from 'vitest'
import { CAPTURE_PROGRAMS, Capture } from '../support/capture.js'
import { type Pair, pairName, pairs, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { openTunnel, Side, type Tunnel, untilOpen } from '../support/tunnel.js'

const SHARED = '10.77.0.9'
/** Far more than all handshake messages and keepalives that may come between. */
const PAYLOAD_BYTES = 1200

/** Pings the shared address, and expects `receiver` to be sent all of it and `other` none. */
async function expectReceiver(left: Side, receiver: Side, other: Side): Promise<void> {
  const count = 3
  const before = await sentTo(left, receiver)
  const otherBefore = await sentTo(left, other)
  expect(await ping(left.host, SHARED, count, { extra: `-s ${PAYLOAD_BYTES}` })).toBe(count)
  await until(
    'the receiver is sent all pings',
    async () => (await sentTo(left, receiver)) >= before + count * PAYLOAD_BYTES,
  )
  expect(await sentTo(left, other), 'the other one is sent no ping').toBeLessThan(otherBefore + PAYLOAD_BYTES)
}

/** A third host, known to the left side from the moment it is up. */
async function addThird(lab: Lab, { left }: Tunnel, pair: Pair): Promise<Side> {
  const host = lab.host('third')
  lab.connect(left.host, host, { left: ['192.0.3.1/24'], right: ['192.0.3.3/24'], names: ['eth1', 'eth0'] })
  await host.run('ip route add default via 192.0.3.1')
  const addresses = { outer4: '192.0.3.3', outer6: '', inner4: '10.77.0.3', inner6: 'fd77::3' }
  const third = new Side(lab, host, pair[1], addresses)
  third.writeConfig(left, {}, 4)
  await third.up()
  await left.set(`peer ${third.keys.publicKey} endpoint 192.0.3.3:51820 allowed-ips 10.77.0.3/32`)
  return third
}

/** Bytes the left side has sent to a peer. */
async function sentTo(left: Side, peer: Side): Promise<number> {
  const row = (await left.show('transfer')).find(([key]) => key === peer.keys.publicKey)
  return Number(row?.[2])
}

async function move(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  const third = await addThird(lab, tunnel, pair)
  await untilOpen(tunnel)
  expect(await ping(left.host, '10.77.0.3', 1)).toBe(1)
  for (const side of [right, third]) await side.host.run(`ip addr add ${SHARED}/32 dev lo`)
  for (const [owner, other] of [
    [right, third],
    [third, right],
    [right, third],
  ] as const) {
    await left.set(`peer ${owner.keys.publicKey} allowed-ips ${owner.addresses.inner4}/32,${SHARED}/32`)
    await expectReceiver(left, owner, other)
    const owners = (await left.show('allowed-ips')).filter(([, list]) => list?.includes(`${SHARED}/32`))
    expect(owners.map(([key]) => key)).toEqual([owner.keys.publicKey])
  }
}

async function preferLonger(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  const third = await addThird(lab, tunnel, pair)
  await untilOpen(tunnel)
  for (const side of [right, third]) await side.host.run(`ip addr add ${SHARED}/32 dev lo`)
  await left.set(`peer ${right.keys.publicKey} allowed-ips 10.77.0.2/32,10.77.0.0/28`)
  await left.set(`peer ${third.keys.publicKey} allowed-ips 10.77.0.3/32,10.77.0.8/30`)
  await expectReceiver(left, third, right)
  await left.set(`peer ${third.keys.publicKey} remove`)
  const before = await sentTo(left, right)
  expect(await ping(left.host, SHARED, 2, { extra: `-s ${PAYLOAD_BYTES}` })).toBe(2)
  await until(
    'the next best is sent them',
    async () => (await sentTo(left, right)) >= before + 2 * PAYLOAD_BYTES,
  )
}

async function refuseSource(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  await untilOpen(tunnel)
  await right.host.run('ip addr add 10.77.0.66/32 dev lo')
  await right.host.run('ip addr add fd77::66/128 dev lo')
  const inner = await Capture.start(lab, left.host, left.interfaceName, 'icmp or icmp6')
  expect(await ping(right.host, '10.77.0.1', 2, { waitS: 1, extra: '-I 10.77.0.66' })).toBe(0)
  expect(await ping(right.host, 'fd77::1', 2, { waitS: 1, extra: '-I fd77::66' })).toBe(0)
  expect(await ping(right.host, '10.77.0.1', 2)).toBe(2)
  await inner.stop()
  const sources = await inner.rows(['ip.src'], 'icmp.type == 8')
  expect(sources.length).toBeGreaterThanOrEqual(2)
  expect(new Set(sources.flat()), 'only packets with the allowed source came in').toEqual(
    new Set(['10.77.0.2']),
  )
  expect(await inner.rows(['ipv6.src'], 'icmpv6.type == 128')).toEqual([])
  // What the check depends on is the list alone: with the source allowed the same packet passes.
  await left.set(`peer ${right.keys.publicKey} allowed-ips 10.77.0.2/32,10.77.0.66/32`)
  expect(await ping(right.host, '10.77.0.1', 2, { extra: '-I 10.77.0.66' })).toBe(2)
}

for (const pair of pairs) {
  requirement(`allowed IPs: ${pairName(pair)}`, [...TUNNEL_PROGRAMS, ...CAPTURE_PROGRAMS], () => {
    test('an address moves between peers at run time', () => withLab((lab) => move(lab, pair)))
    test('the longest prefix wins, and the next one when its peer goes', () =>
      withLab((lab) => preferLonger(lab, pair)))
    test('a packet with a source that is not allowed is dropped', () =>
      withLab((lab) => refuseSource(lab, pair)))
  })
}
