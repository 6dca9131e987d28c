/**
 * Hostile datagrams and hostile UAPI requests change nothing, cost nothing that lasts, and get no
 * answer a stranger could use.
 *
 *   left ── eth0 ── right ── eth1 ── 198.51.100.66 stranger
 */

import { connect } from 'node:net'
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

/** The right side, as the stranger sees it. */
const TARGET = '198.51.100.2'
const SEED = 20_260_101
const DATAGRAMS = 100_000
const REQUESTS = 10_000
const CLIENTS = 8
const MEMORY_GROWTH_MIB = 32

interface Resources {
  readonly memoryMib: number
  readonly files: number
}

async function resourcesOf({ host }: Side): Promise<Resources> {
  const [pid] = host.daemonPids()
  const status = await host.run(`cat /proc/${pid}/status`)
  const files = (await host.run(`ls /proc/${pid}/fd`)).trimEnd().split('\n').length
  return { memoryMib: memoryMib(status), files }
}

/** Handshake and transport messages to the right side, as they were on the wire. */
async function recordMessages(lab: Lab, { left, right }: Tunnel): Promise<Buffer[]> {
  const capture = await Capture.start(lab, right.host, 'eth0', 'udp and dst host 192.0.2.2')
  await left.set(`peer ${right.keys.publicKey} remove`)
  await left.set(`peer ${right.keys.publicKey} endpoint 192.0.2.2:51820 allowed-ips 10.77.0.2/32,fd77::2/128`)
  expect(await ping(left.host, right.addresses.inner4, 3)).toBe(3)
  await ping(right.host, left.addresses.inner4, 3)
  await capture.stop()
  const payloads = (await capture.rows(['udp.payload'], 'wg')).flat()
  expect(payloads.length).toBeGreaterThan(3)
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
  const handshakeS = await right.latestHandshakeS()
  // A first, smaller wave fills caches and pools, so that growth afterwards is a leak.
  await sendDatagrams(
    lab,
    stranger,
    hostileDatagrams(seededRandom(SEED + 1), recorded, DATAGRAMS / 5),
    TARGET,
  )
  const before = await resourcesOf(right)
  const arrivedBefore = await receivedDatagrams(right.host)
  const capture = await Capture.start(lab, stranger, 'eth0', `src host ${TARGET} and (udp or icmp)`)
  await sendDatagrams(lab, stranger, hostileDatagrams(seededRandom(SEED), recorded, DATAGRAMS), TARGET)
  await capture.stop()
  expect(await capture.rows(['frame.number']), 'a stranger got an answer').toEqual([])
  expect((await receivedDatagrams(right.host)) - arrivedBefore).toBeGreaterThan(DATAGRAMS / 2)
  expect(await ping(left.host, right.addresses.inner4, 5)).toBe(5)
  expect(await ping(right.host, left.addresses.inner4, 5)).toBe(5)
  expect(await right.latestHandshakeS(), 'the session is the same').toBe(handshakeS)
  expect(await right.endpoint()).toBe('192.0.2.1:51820')
  const after = await resourcesOf(right)
  expect(after.files).toBe(before.files)
  expect(after.memoryMib - before.memoryMib).toBeLessThan(MEMORY_GROWTH_MIB)
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
  await untilOpen(tunnel, 30_000)
  expect((await cookies(toLeft)).length, 'left proved its address').toBeGreaterThan(0)
  await Promise.all([toStranger.stop(), toLeft.stop()])
  expect(await toStranger.rows(['wg.type'], 'wg.type != 3'), 'nothing but cookie replies').toEqual([])
}

/** Sends one request and reads until the device closes or has answered; gives the answer. */
function ask(path: string, request: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(path, () => socket.end(request, 'latin1'))
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      answer += text
    })
    // A refusal in the middle of a long request is an answer, too.
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
  })
}

async function askAll(path: string, requests: Iterator<string>): Promise<string[]> {
  const answers: string[] = []
  const client = async (): Promise<void> => {
    for (let next = requests.next(); next.done !== true; next = requests.next()) {
      answers.push(await ask(path, next.value))
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return answers
}

async function surviveRequests(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  await untilOpen(tunnel)
  const path = `/var/run/wireguard/${right.interfaceName}.sock`
  // The first wave sizes the heap; what grows with the second is a leak.
  await askAll(path, badRequests(seededRandom(SEED + 1), REQUESTS))
  const before = await resourcesOf(right)
  const shown = await right.host.run(['wg', 'showconf', right.interfaceName])
  const answers = await askAll(path, badRequests(seededRandom(SEED), REQUESTS))
  expect(answers).toHaveLength(REQUESTS)
  expect(
    answers.filter((answer) => answer.includes('errno=0')),
    'requests carried out',
  ).toEqual([])
  expect(
    answers.filter((answer) => answer.includes('private_key=')),
    'keys given away',
  ).toEqual([])
  expect(await right.host.run(['wg', 'showconf', right.interfaceName]), 'all or nothing').toBe(shown)
  expect(await ping(left.host, right.addresses.inner4, 5)).toBe(5)
  const after = await resourcesOf(right)
  expect(after.files).toBeLessThanOrEqual(before.files)
  expect(after.memoryMib - before.memoryMib).toBeLessThan(MEMORY_GROWTH_MIB)
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
