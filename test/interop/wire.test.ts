/**
 * What a listener on the cable sees: WireGuard messages, nothing else, and nothing in clear.
 *
 *   left ── eth0 ── (tcpdump) ── eth0 ── right ── tunnel interface (tcpdump)
 */

import { expect, test } from 'vitest'
import { CAPTURE_PROGRAMS, Capture } from '../support/capture.js'
import {
  isStandIn,
  type Pair,
  pairName,
  pairs,
  subject,
  TUNNEL_PROGRAMS,
} from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { layTunnel, openTunnel, type Tunnel, untilOpen } from '../support/tunnel.js'

const MARKER = 'OVERLAY-MARKER-1' // 16 bytes, as many as ping repeats
const MARKER_HEX = Buffer.from(MARKER).toString('hex')
const PADDING_BYTES = 16
const TUNNEL_MTU = 1420 // padding never goes above it
const TRANSPORT_OVERHEAD_BYTES = 8 + 16 + 16 // UDP header, message header, tag
const KEEPALIVE_LENGTH: number = TRANSPORT_OVERHEAD_BYTES // nothing inside
const TIMESTAMP_GRAIN_MS = 100 // implementations round down
const TAI_AHEAD_MS = 10_000 // in 1970; tshark shows it as part of the time

interface Recording {
  readonly tunnel: Tunnel
  readonly outer: Capture
  readonly inner: Capture
  readonly startMs: number
}

/** A handshake begun by the left side and pings of several sizes, seen on both interfaces. */
async function record(lab: Lab, pair: Pair): Promise<Recording> {
  const startMs = Date.now()
  const tunnel = layTunnel(lab, pair, { right: { knowsEndpoint: false } })
  const { left, right } = tunnel
  // Datagrams that one call sends cross the cable one by one, so that each is a packet of the record.
  for (const { host } of [left, right]) await host.run('ip link set eth0 gso_max_segs 1')
  const outer = await Capture.start(lab, right.host, 'eth0', 'ip')
  await right.up()
  const inner = await Capture.start(lab, right.host, right.interfaceName)
  await left.up()
  for (const size of [16, 17, 100, 1000, 1392]) {
    const extra = `-s ${size} -p ${MARKER_HEX}`
    expect(await ping(left.host, right.addresses.inner4, 2, { extra })).toBe(2)
  }
  await Promise.all([outer.stop(), inner.stop()])
  return { tunnel, outer, inner, startMs }
}

async function expectOnlyWireGuard({ outer }: Recording): Promise<void> {
  const rows = await outer.rows([
    'wg.type',
    'wg.reserved',
    'udp.length',
    'ip.src',
    'wg.receiver',
    'wg.counter',
  ])
  expect([...new Set(rows.map(([type]) => type))], 'the handshake comes first').toEqual(['1', '2', '4'])
  expect(rows.filter(([type]) => type === '4').length).toBeGreaterThanOrEqual(20)
  const counters = new Set<string>()
  for (const [type, reserved, udpLength, source, receiver, counter] of rows) {
    expect(['1', '2', '4'], 'tshark knows the packet').toContain(type)
    expect(reserved).toBe('000000')
    if (type !== '4') continue
    const sealedBytes = Number(udpLength) - TRANSPORT_OVERHEAD_BYTES
    expect(sealedBytes === TUNNEL_MTU || sealedBytes % PADDING_BYTES === 0, `${sealedBytes} bytes`).toBe(true)
    counters.add(`${source} ${receiver} ${counter}`)
  }
  const messages = rows.filter(([type]) => type === '4')
  expect(counters.size, 'no counter is used twice').toBe(messages.length)
}

/** With the receiver's private key tshark opens what the initiation says about its sender. */
async function expectReadableByReceiver(lab: Lab, { tunnel, outer, startMs }: Recording): Promise<void> {
  const keylog = lab.file(`LOCAL_STATIC_PRIVATE_KEY = ${tunnel.right.keys.privateKey}\n`)
  const fields = ['wg.static', 'wg.timestamp.value', 'wg.mac1', 'wg.receiver_pubkey']
  const rows = await outer.rows(fields, 'wg.type == 1', ['-o', `wg.keylog_file:${keylog}`])
  const [initiator, timestamp, mac1, receiver] = rows[0] ?? []
  expect(initiator).toBe(tunnel.left.keys.publicKey)
  const sentMs = Date.parse(`${timestamp}`) - TAI_AHEAD_MS
  expect(sentMs).toBeGreaterThan(startMs - TIMESTAMP_GRAIN_MS)
  expect(sentMs).toBeLessThanOrEqual(Date.now())
  expect(mac1).toMatch(/^[0-9a-f]{32}$/)
  expect(receiver, 'mac1 names the receiver').toBe(tunnel.right.keys.publicKey)
}

for (const pair of pairs) {
  requirement(`the wire: ${pairName(pair)}`, [...TUNNEL_PROGRAMS, ...CAPTURE_PROGRAMS], () => {
    test('shows WireGuard messages alone, well formed, and nothing of what is sent', () =>
      withLab(async (lab) => {
        const recording = await record(lab, pair)
        expect(recording.inner.bytes().includes(MARKER), 'the marker went through').toBe(true)
        expect(recording.outer.bytes().includes(MARKER), 'the marker is in clear').toBe(false)
        await expectOnlyWireGuard(recording)
        await expectReadableByReceiver(lab, recording)
      }))
  })
}

/** Makes routers between left and right mark all packets as having met congestion. */
async function congest(tunnel: Tunnel): Promise<void> {
  const ruleset = `
    table ip congested {
      chain out {
        type filter hook postrouting priority 0
        udp dport 51820 ip ecn != not-ect ip ecn set ce
      }
    }
  `
  await tunnel.left.host.run('nft -f -', { input: ruleset })
}

/** A request whose answer is late is followed by another one with the same mark. */
function withoutRepeats(marks: readonly string[]): string[] {
  return marks.filter((mark, i) => mark !== marks[i - 1])
}

requirement('congestion marks', [...TUNNEL_PROGRAMS, ...CAPTURE_PROGRAMS, 'nft'], () => {
  test.skipIf(isStandIn)('pass from the inner header to the outer one and back', () =>
    withLab(async (lab) => {
      const tunnel = await openTunnel(lab, [subject, subject])
      await untilOpen(tunnel)
      const { left, right } = tunnel
      const outer = await Capture.start(lab, right.host, 'eth0', 'udp')
      const inner = await Capture.start(lab, right.host, right.interfaceName, 'icmp')
      await ping(left.host, right.addresses.inner4, 1, { extra: '-Q 0x02' })
      await congest(tunnel)
      await ping(left.host, right.addresses.inner4, 1, { extra: '-Q 0x02' })
      await ping(left.host, right.addresses.inner4, 1, { extra: '-Q 0x00' })
      await Promise.all([outer.stop(), inner.stop()])
      const requests = await inner.rows(['ip.dsfield.ecn'], 'icmp.type == 8')
      expect(withoutRepeats(requests.flat())).toEqual(['2', '3', '0'])
      const sealed = await outer.rows(
        ['ip.dsfield'],
        `wg.type == 4 && ip.src == 192.0.2.1 && udp.length > ${KEEPALIVE_LENGTH}`,
      )
      expect(withoutRepeats(sealed.flat())).toEqual(['0x02', '0x03', '0x00'])
    }),
  )

  test.skipIf(isStandIn)('leave no bit of the inner traffic class on handshake messages', () =>
    withLab(async (lab) => {
      const { left, right } = layTunnel(lab, [subject, subject])
      const outer = await Capture.start(lab, right.host, 'eth0', 'udp')
      await Promise.all([left.up(), right.up()])
      await until(
        'an answer',
        async () => (await ping(left.host, right.addresses.inner4, 1, { extra: '-Q 0xba' })) === 1,
      )
      await outer.stop()
      const classes = await outer.rows(['ip.dsfield'], 'wg.type == 1 || wg.type == 2')
      expect(new Set(classes.flat())).toEqual(new Set(['0x88']))
    }),
  )
})
