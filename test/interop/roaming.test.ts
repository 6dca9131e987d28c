/**
 * Endpoints follow authenticated packets, and only those; answers come from the address asked.
 *
 *   left 192.0.2.1 (later .11) ── eth0 ──── eth0 ── 192.0.2.2, 192.0.2.22 right
 */

import { expect, test } from 'vitest'
import { CAPTURE_PROGRAMS, Capture } from '../support/capture.js'
import { sendDatagrams } from '../support/datagram-sender.js'
import { type Pair, pairName, pairs, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { LISTEN_PORT, openTunnel, type Side, type Tunnel, untilOpen } from '../support/tunnel.js'

async function moveAddress({ left, right }: Tunnel, from: string, to: string): Promise<void> {
  await left.host.run(`ip addr del ${from} dev eth0`)
  await left.host.run(`ip addr add ${to} dev eth0`)
  // wireguard-go of 2022 goes on sending from the address it has lost until its endpoint is set anew.
  if (left.implementation.name === 'wireguard-go') {
    await left.set(`peer ${right.keys.publicKey} endpoint 192.0.2.2:${LISTEN_PORT}`)
  }
}

/** Waits until a side knows its peer at an endpoint. */
async function untilAt(side: Side, endpoint: string): Promise<void> {
  await until(`the peer at ${endpoint}`, async () => (await side.endpoint()) === endpoint)
}

async function expectBothWays({ left, right }: Tunnel): Promise<void> {
  expect(await ping(left.host, right.addresses.inner4, 3)).toBe(3)
  expect(await ping(right.host, left.addresses.inner4, 3)).toBe(3)
}

async function followAddress(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  await untilOpen(tunnel)
  await untilAt(right, `192.0.2.1:${LISTEN_PORT}`)
  const handshakeMs = await left.latestHandshakeMs()
  await moveAddress(tunnel, '192.0.2.1/24', '192.0.2.11/24')
  await expectBothWays(tunnel)
  await untilAt(right, `192.0.2.11:${LISTEN_PORT}`)
  await moveAddress(tunnel, '192.0.2.11/24', '192.0.2.1/24')
  await expectBothWays(tunnel)
  await untilAt(right, `192.0.2.1:${LISTEN_PORT}`)
  expect(await left.hasKeptKeypair(handshakeMs), 'no new handshake was needed').toBe(true)
}

async function followPort(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  await untilOpen(tunnel)
  const handshakeMs = await left.latestHandshakeMs()
  await left.set('listen-port 51999')
  await expectBothWays(tunnel)
  await untilAt(right, '192.0.2.1:51999')
  expect(await left.hasKeptKeypair(handshakeMs), 'no new handshake was needed').toBe(true)
}

async function followFamily(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  await untilOpen(tunnel)
  await left.set(`peer ${right.keys.publicKey} endpoint [2001:db8::2]:${LISTEN_PORT}`)
  await expectBothWays(tunnel)
  await untilAt(right, `[2001:db8::1]:${LISTEN_PORT}`)
}

async function ignoreReplays(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  const capture = await Capture.start(lab, right.host, 'eth0', 'udp and src 192.0.2.1')
  await untilOpen(tunnel)
  await expectBothWays(tunnel)
  await capture.stop()
  const payloads = (await capture.rows(['udp.payload'])).flat().map((hex) => Buffer.from(hex, 'hex'))
  expect(payloads.length, 'an initiation, and data of both rounds').toBeGreaterThanOrEqual(3)
  // The replays come from an address that left does not use for the tunnel.
  await left.host.run('ip addr add 192.0.2.66/24 dev eth0')
  await left.host.run('ip route replace 192.0.2.2 dev eth0 src 192.0.2.66')
  const altered = payloads.map((payload) => {
    const copy = Buffer.from(payload)
    copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1
    return copy
  })
  const watch = await Capture.start(lab, right.host, 'eth0', 'udp and dst 192.0.2.66')
  await sendDatagrams(lab, left.host, [...payloads, ...altered], '192.0.2.2')
  await left.host.run('ip route del 192.0.2.2 dev eth0')
  expect(await right.endpoint()).toBe(`192.0.2.1:${LISTEN_PORT}`)
  await expectBothWays(tunnel)
  await watch.stop()
  expect(await watch.rows(['udp.length']), 'nothing is answered to replays').toEqual([])
}

async function answerFromAsked(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair, { right: { knowsEndpoint: false } })
  const { left, right } = tunnel
  await right.host.run('ip addr add 192.0.2.22/24 dev eth0')
  await right.host.run('ip addr add 2001:db8::22/64 dev eth0 nodad')
  for (const [asked, endpoint] of [
    ['192.0.2.22', `192.0.2.22:${LISTEN_PORT}`],
    ['2001:db8::22', `[2001:db8::22]:${LISTEN_PORT}`],
  ]) {
    const capture = await Capture.start(lab, left.host, 'eth0', `udp and src host ${asked}`)
    await left.set(`peer ${right.keys.publicKey} remove`)
    await left.set(`peer ${right.keys.publicKey} endpoint ${endpoint} allowed-ips 10.77.0.2/32`)
    await until('an answer', async () => (await ping(left.host, right.addresses.inner4, 1)) === 1)
    expect(await left.endpoint()).toBe(endpoint)
    await capture.stop()
    expect((await capture.rows(['wg.type'])).flat()).toEqual(expect.arrayContaining(['2', '4']))
  }
}

for (const pair of pairs) {
  requirement(`roaming: ${pairName(pair)}`, [...TUNNEL_PROGRAMS, ...CAPTURE_PROGRAMS, 'node'], () => {
    test('traffic goes on when the left address changes and changes back', () =>
      withLab((lab) => followAddress(lab, pair)))
    test('traffic goes on when the left port changes', () => withLab((lab) => followPort(lab, pair)))
    test('traffic goes on when the outer family changes', () => withLab((lab) => followFamily(lab, pair)))
    test('replayed and altered messages from elsewhere move nothing and get no answer', () =>
      withLab((lab) => ignoreReplays(lab, pair)))
    test('a host with several addresses answers from the one that was asked', () =>
      withLab((lab) => answerFromAsked(lab, pair)))
  })
}
