/**
 * Hostile datagrams and hostile UAPI requests change nothing, cost nothing that lasts, and get no
 * answer a stranger could use.
 *
 *   left ── eth0 ── right ── eth1 ── 198.51.100.66 stranger
 */

import { expect, test } from 'vitest'
import { CAPTURE_PROGRAMS, Capture } from '../support/capture.js'
import { floodDatagrams, sendDatagrams } from '../support/datagram-sender.js'
import { badRequests, hostileDatagrams, initiationsWithMac1 } from '../support/hostile.js'
import { isStandIn, type Pair, pairName, pairs, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Host, type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { seededRandom } from '../support/seeded-random.js'
import { memoryMib } from '../support/system-state.js'
import { openTunnel, type Side, type Tunnel, untilOpen } from '../support/tunnel.js'
import { askUapi, uapiSocket } from '../support/uapi-client.js'

/** The right side, as the stranger sees it. */
const TARGET = '198.51.100.2'
const SEED = 20_260_101
const DATAGRAMS = 100_000
const REQUESTS = 10_000
const CLIENTS = 8
const MEMORY_GROWTH_MIB = 32
const MAX_WAVES = 4

async function memoryOf({ host }: Side): Promise<number> {
  const [pid] = host.daemonPids()
  return memoryMib(await host.run(`cat /proc/${pid}/status`))
}

async function openFiles({ host }: Side): Promise<number> {
  const [pid] = host.daemonPids()
  return (await host.run(`ls /proc/${pid}/fd`)).trimEnd().split('\n').length
}

/** The first waves may size heap and pools; a leak grows with every one. */
async function expectFlatMemory(side: Side, sendWave: (seed: number) => Promise<void>): Promise<void> {
  await sendWave(SEED)
  const growths: number[] = []
  while (growths.length < MAX_WAVES && !growths.some((growth) => growth < MEMORY_GROWTH_MIB)) {
    const before = await memoryOf(side)
    await sendWave(SEED + 1 + growths.length)
    growths.push((await memoryOf(side)) - before)
  }
  expect(Math.min(...growths), `MiB with each wave: ${growths.join(', ')}`).toBeLessThan(MEMORY_GROWTH_MIB)
}

/** Makes the left side begin anew, with all it knows from its file. */
async function forget({ left, right }: Tunnel): Promise<void> {
  await left.set(`peer ${right.keys.publicKey} remove`)
  await left.set(`peer ${right.keys.publicKey} endpoint 192.0.2.2:51820 allowed-ips 10.77.0.2/32,fd77::2/128`)
}

/** Handshake and transport messages to the right side, as they were on the wire. */
async function recordMessages(lab: Lab, tunnel: Tunnel): Promise<Buffer[]> {
  const { left, right } = tunnel
  const capture = await Capture.start(lab, right.host, 'eth0', 'udp and dst host 192.0.2.2')
  await forget(tunnel)
  expect(await ping(left.host, right.addresses.inner4, 3)).toBe(3)
  await ping(right.host, left.addresses.inner4, 3)
  await capture.stop()
  const payloads = (await capture.rows(['udp.payload'], 'wg')).flat()
  expect(payloads.length, 'an initiation, and data of both rounds').toBeGreaterThanOrEqual(3)
  return payloads.map((hex) => Buffer.from(hex, 'hex'))
}

async function receivedDatagrams(host: Host): Promise<number> {
  const [, values] = (await host.run('cat /proc/net/snmp'))
    .split('\n')
    .filter((line) => line.startsWith('Udp:'))
  return Number(values?.split(' ')[1])
}

/** A host beside the right one that is nobody's peer. */
function addStranger(lab: Lab, { right }: Tunnel): Host {
  const stranger = lab.host('stranger')
  lab.connect(right.host, stranger, {
    left: [`${TARGET}/24`],
    right: ['198.51.100.66/24'],
    names: ['eth1', 'eth0'],
  })
  return stranger
}

async function surviveDatagrams(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair, { right: { knowsEndpoint: false } })
  const { left, right } = tunnel
  const stranger = addStranger(lab, tunnel)
  await untilOpen(tunnel)
  const recorded = await recordMessages(lab, tunnel)
  const handshakeMs = await right.latestHandshakeMs()
  const files = await openFiles(right)
  const capture = await Capture.start(lab, stranger, 'eth0', `src host ${TARGET} and (udp or icmp)`)
  await expectFlatMemory(right, async (seed) => {
    const random = seededRandom(seed)
    const before = await receivedDatagrams(right.host)
    // A device that has to wait for a CPU loses some, so there are more until it has read enough.
    for (let read = 0; read < DATAGRAMS / 2; read = (await receivedDatagrams(right.host)) - before) {
      await sendDatagrams(lab, stranger, hostileDatagrams(random, recorded, DATAGRAMS / 2), TARGET)
    }
  })
  await capture.stop()
  expect(await capture.rows(['frame.number']), 'a stranger got an answer').toEqual([])
  expect(await ping(left.host, right.addresses.inner4, 5)).toBe(5)
  expect(await ping(right.host, left.addresses.inner4, 5)).toBe(5)
  expect(await right.hasKeptKeypair(handshakeMs), 'the session is the same').toBe(true)
  expect(await right.endpoint()).toBe('192.0.2.1:51820')
  expect(await openFiles(right)).toBe(files)
}

/**
 * A stranger may claim to know the device: initiations with a valid mac1 cost work, so under load
 * they are answered with cookie replies, shorter than they are, and honest peers still get in.
 */
async function surviveFlood(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair, { right: { knowsEndpoint: false } })
  const { left, right } = tunnel
  const stranger = addStranger(lab, tunnel)
  const toStranger = await Capture.start(lab, stranger, 'eth0', `src host ${TARGET}`)
  const toLeft = await Capture.start(lab, left.host, 'eth0', 'src host 192.0.2.2')
  floodDatagrams(lab, stranger, initiationsWithMac1(seededRandom(SEED), right.keys.publicKey, 20_000), TARGET)
  const cookies = (capture: Capture): Promise<string[][]> => capture.rows(['udp.length'], 'wg.type == 3')
  await until('cookie replies to the stranger', async () => (await cookies(toStranger)).length > 0)
  await untilOpen(tunnel, 90_000)
  await until('left is asked to prove its address', async () => {
    if ((await cookies(toLeft)).length > 0) return true
    // It came in while the flood had to wait for a CPU.
    await forget(tunnel)
    await untilOpen(tunnel, 90_000)
    return false
  })
  await Promise.all([toStranger.stop(), toLeft.stop()])
  expect(await toStranger.rows(['wg.type'], 'wg.type != 3'), 'nothing but cookie replies').toEqual([])
}

async function askAll(path: string, requests: Iterator<string>): Promise<string[]> {
  const answers: string[] = []
  const client = async (): Promise<void> => {
    for (let next = requests.next(); next.done !== true; next = requests.next()) {
      answers.push(await askUapi(path, next.value))
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return answers
}

async function surviveRequests(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  await untilOpen(tunnel)
  const path = uapiSocket(right.interfaceName)
  const files = await openFiles(right)
  const shown = await right.host.run(['wg', 'showconf', right.interfaceName])
  await expectFlatMemory(right, async (seed) => {
    const answers = await askAll(path, badRequests(seededRandom(seed), REQUESTS))
    expect(answers).toHaveLength(REQUESTS)
    expect(
      answers.filter((answer) => answer.includes('errno=0')),
      'requests carried out',
    ).toEqual([])
    expect(
      answers.filter((answer) => answer.includes('private_key=')),
      'keys given away',
    ).toEqual([])
  })
  expect(await right.host.run(['wg', 'showconf', right.interfaceName]), 'all or nothing').toBe(shown)
  expect(await ping(left.host, right.addresses.inner4, 5)).toBe(5)
  await until('the files of all clients are closed', async () => (await openFiles(right)) <= files)
}

for (const pair of pairs.filter(([, right]) => isStandIn || right.name === 'overlay')) {
  requirement(`hostile input: ${pairName(pair)}`, [...TUNNEL_PROGRAMS, ...CAPTURE_PROGRAMS, 'node'], () => {
    test('100,000 random and altered datagrams get no answer and change nothing', () =>
      withLab((lab) => surviveDatagrams(lab, pair)))
    test.skipIf(isStandIn)('a flood of initiations is met with cookies, and a peer still gets in', () =>
      withLab((lab) => surviveFlood(lab, pair)),
    )
    // wireguard-go carries out what stands before the fault.
    test.skipIf(isStandIn)('10,000 malformed UAPI requests are refused and change nothing', () =>
      withLab((lab) => surviveRequests(lab, pair)),
    )
  })
}
