/**
 * What only time brings about: rekeying, keepalives, and a new handshake after one side forgot.
 *
 * The tests of this file run at the same time, each in its own namespaces, so that the file takes
 * as long as the rekey (REKEY_AFTER_TIME is 120 s) and not the sum.
 *
 *   left ── eth0 ── (tcpdump) ── eth0 ── right
 */

import { describe, expect, test } from 'vitest'
import { CAPTURE_PROGRAMS, Capture } from '../support/capture.js'
import { type Pair, pairName, pairs, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { openTunnel, type Side, untilOpen } from '../support/tunnel.js'

const REKEY_AFTER_S = 120
const PING_INTERVAL_S = 0.2
/** Longer than keys are used, and a busy machine does not make it twice as long. */
const WATCH_S = REKEY_AFTER_S + 20
const REKEY_TEST_MS = 450_000 // a lost ping ends the wait for it well before
const TEST_MS = 240_000
const KEEPALIVE_FILTER = 'wg.type == 4 && udp.length == 40'

/** Pings at a low, even rate, and expects each to be answered. */
async function pingFor(from: Side, to: Side, seconds: number): Promise<void> {
  const count = Math.round(seconds / PING_INTERVAL_S)
  const options = { intervalS: PING_INTERVAL_S, waitS: 30 }
  expect(await ping(from.host, to.addresses.inner4, count, options)).toBe(count)
}

async function rekey(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair, { right: { knowsEndpoint: false } })
  const { left, right } = tunnel
  await untilOpen(tunnel)
  const sides = [left, right]
  const firstS = await Promise.all(sides.map((side) => side.latestHandshakeS()))
  await Promise.all([pingFor(left, right, WATCH_S), pingFor(right, left, WATCH_S)])
  for (const [i, side] of sides.entries()) {
    const ageS = (await side.latestHandshakeS()) - (firstS[i] ?? 0)
    // The pings end before keys are due again, so that this is the first new handshake.
    expect(ageS, 'new keys came when they were due').toBeGreaterThanOrEqual(REKEY_AFTER_S - 1)
  }
}

/** The initiator goes away and comes back without its keys, and keeps silent. */
async function recover(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair, { left: { knowsEndpoint: true } })
  const { left, right } = tunnel
  await untilOpen(tunnel)
  await left.down()
  await left.up()
  await until(
    'right notices that nothing comes back and begins anew',
    async () => (await ping(right.host, left.addresses.inner4, 1, { waitS: 1 })) === 1,
  )
}

async function restart(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  await untilOpen(tunnel)
  for (let round = 0; round < 3; round++) {
    await left.down()
    await left.up()
    expect(await ping(left.host, right.addresses.inner4, 2)).toBe(2)
  }
  await left.set(`peer ${right.keys.publicKey} remove`)
  await left.set(`peer ${right.keys.publicKey} endpoint 192.0.2.2:51820 allowed-ips 10.77.0.2/32`)
  expect(await ping(left.host, right.addresses.inner4, 2)).toBe(2)
}

/** One keepalive follows data that nobody answers, 10 s later; then silence and no new handshake. */
async function passiveKeepalive(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair, { right: { knowsEndpoint: false } })
  const { left, right } = tunnel
  await right.host.run('sysctl -qw net.ipv4.icmp_echo_ignore_all=1')
  const capture = await Capture.start(lab, right.host, 'eth0', 'udp')
  expect(await ping(left.host, right.addresses.inner4, 1, { waitS: 0 })).toBe(0)
  const fields = ['frame.time_relative', 'wg.type', 'udp.length', 'ip.src']
  await until(
    'a keepalive from right',
    async () => (await capture.rows(fields, `${KEEPALIVE_FILTER} && ip.src == 192.0.2.2`)).length > 0,
  )
  await capture.stop()
  const rows = await capture.rows(fields)
  const dataAt = rows.findIndex(([, type, length]) => type === '4' && length !== '40')
  const after = rows.slice(dataAt)
  const keepalives = after.filter(([, , length, source]) => length === '40' && source === '192.0.2.2')
  expect(keepalives).toHaveLength(1)
  expect(Number(keepalives[0]?.[0]) - Number(after[0]?.[0])).toBeGreaterThan(9.5)
  // Left would begin anew if it heard nothing for 15 s.
  expect(after.filter(([, type]) => type !== '4')).toEqual([])
}

async function persistentKeepalive(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair, {
    left: { peerLines: ['PersistentKeepalive = 1'] },
    right: { knowsEndpoint: false },
  })
  const { left, right } = tunnel
  await until('a handshake without any traffic', async () => (await left.latestHandshakeS()) > 0)
  const capture = await Capture.start(lab, right.host, 'eth0', 'udp')
  const read = (): Promise<string[][]> => capture.rows(['frame.time_relative', 'ip.src'], KEEPALIVE_FILTER)
  await until('keepalives', async () => (await read()).length >= 8)
  await capture.stop()
  const rows = await read()
  expect(new Set(rows.map(([, source]) => source)), 'only left was asked to').toEqual(new Set(['192.0.2.1']))
  const times = rows.map(([time]) => Number(time))
  const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0))
  // One that had to wait for a CPU is late, and the next one is not.
  const median = gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)]
  expect(median).toBeGreaterThan(0.8)
  expect(median).toBeLessThan(1.6)
}

const CASES: readonly [title: string, run: (lab: Lab, pair: Pair) => Promise<void>, timeoutMs: number][] = [
  // First, so that the others run beside them.
  ['keys are renewed after 120 s under traffic both ways and no packet is lost', rekey, REKEY_TEST_MS],
  ['a side that forgot its keys is heard again when it speaks', restart, TEST_MS],
  ['a side that forgot its keys and is silent is called by the other one', recover, TEST_MS],
  ['data that nobody answers is followed by one keepalive after 10 s', passiveKeepalive, TEST_MS],
  [
    'a persistent keepalive is on the wire each second, from the side asked for it',
    persistentKeepalive,
    TEST_MS,
  ],
]

requirement('timers', [...TUNNEL_PROGRAMS, ...CAPTURE_PROGRAMS], () => {
  describe.concurrent('at the same time', () => {
    for (const [title, run, timeoutMs] of CASES) {
      for (const pair of pairs) {
        test(`${pairName(pair)}: ${title}`, () => withLab((lab) => run(lab, pair)), timeoutMs)
      }
    }
  })
})
