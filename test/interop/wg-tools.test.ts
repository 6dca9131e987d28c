/**
 * `wg` and `wg-quick` drive the device through its UAPI socket as they drive any WireGuard.
 *
 * One host with a device that has no cable: what counts is what is set and what is shown.
 */

import { expect, test } from 'vitest'
import { binPath, isStandIn, pairs, subject, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Host, type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { memoryMib, systemState } from '../support/system-state.js'
import { generateKeys, generatePresharedKey, layTunnel, openTunnel, untilOpen } from '../support/tunnel.js'

const MANY_PEERS = 1000
const RESTORE_LIMIT_MS = 60_000 // reached only if something stays
const MEMORY_LIMIT_MIB = 200

interface Device {
  readonly host: Host
  readonly name: string
  /** Runs `wg`; IF stands for the interface name, FILE for a file with the text. */
  wg(line: string, text?: string): Promise<string>
}

async function makeDevice(lab: Lab): Promise<Device> {
  const host = lab.host('one')
  const name = lab.interfaceName()
  await subject.device(host, name)
  const wg = (line: string, text = ''): Promise<string> => {
    const places: Record<string, string> = { IF: name, FILE: lab.file(text) }
    return host.run(['wg', ...line.split(' ').map((word) => places[word] ?? word)])
  }
  return { host, name, wg }
}

async function setEverything(lab: Lab): Promise<void> {
  const { wg } = await makeDevice(lab)
  const [own, peer, other] = [generateKeys(), generateKeys(), generateKeys()]
  const presharedKey = generatePresharedKey()
  expect(await wg('show IF public-key')).toBe('(none)\n')
  await wg(`set IF private-key ${lab.file(own.privateKey)} listen-port 51999 fwmark 0x1234`)
  await wg(
    `set IF peer ${peer.publicKey} preshared-key ${lab.file(presharedKey)} endpoint 192.0.2.9:7 ` +
      'persistent-keepalive 25 allowed-ips 10.1.2.3/16,fd00::1/64,192.0.2.77/32',
  )
  await wg(`set IF peer ${other.publicKey} endpoint [2001:db8::9]:65535 allowed-ips 0.0.0.0/0,::/0`)
  const [device, ...peers] = (await wg('show IF dump')).trimEnd().split('\n')
  expect(device).toBe(`${own.privateKey}\t${own.publicKey}\t51999\t0x1234`)
  const rows = new Map(peers.map((line) => [line.split('\t')[0], line.split('\t').slice(1).join(' ')]))
  expect(rows).toEqual(
    new Map([
      [peer.publicKey, `${presharedKey} 192.0.2.9:7 10.1.0.0/16,fd00::/64,192.0.2.77/32 0 0 0 25`],
      [other.publicKey, '(none) [2001:db8::9]:65535 0.0.0.0/0,::/0 0 0 0 off'],
    ]),
  )
  await wg(
    `set IF peer ${peer.publicKey} preshared-key /dev/null persistent-keepalive off allowed-ips`.concat(
      ' 10.9.0.0/16',
    ),
  )
  const [changed] = (await wg('show IF dump')).split('\n').filter((line) => line.startsWith(peer.publicKey))
  expect(changed?.split('\t').slice(1).join(' ')).toBe('(none) 192.0.2.9:7 10.9.0.0/16 0 0 0 off')
  await wg(`set IF peer ${other.publicKey} remove`)
  expect(await wg('show IF peers')).toBe(`${peer.publicKey}\n`)
  await wg('set IF fwmark off listen-port 0 private-key /dev/null')
  expect(await wg('show IF fwmark')).toBe('off\n')
  expect(await wg('show IF public-key')).toBe('(none)\n')
}

async function showForPeople(lab: Lab): Promise<void> {
  const { wg, name } = await makeDevice(lab)
  const [own, peer] = [generateKeys(), generateKeys()]
  await wg(`set IF private-key ${lab.file(own.privateKey)} listen-port 51999`)
  await wg(`set IF peer ${peer.publicKey} endpoint 192.0.2.9:7 allowed-ips 10.1.0.0/16`)
  const text = await wg('show IF')
  for (const part of [
    `interface: ${name}`,
    `public key: ${own.publicKey}`,
    'listening port: 51999',
    `peer: ${peer.publicKey}`,
    'endpoint: 192.0.2.9:7',
    'allowed ips: 10.1.0.0/16',
  ]) {
    expect(text).toContain(part)
  }
  expect((await wg('show interfaces')).split(/\s/)).toContain(name)
  expect(await wg('show all dump')).toContain(`${name}\t${peer.publicKey}`)
}

async function roundTrip(lab: Lab): Promise<void> {
  const { wg } = await makeDevice(lab)
  const peers = Array.from({ length: 5 }, (_, i) => peerLines(i, generateKeys().publicKey))
  const config = [
    '[Interface]',
    `PrivateKey = ${generateKeys().privateKey}`,
    'ListenPort = 51998',
    ...peers.flat(),
  ]
  await wg('setconf IF FILE', config.join('\n'))
  const shown = await wg('showconf IF')
  await wg('setconf IF FILE', shown)
  expect(await wg('showconf IF')).toBe(shown)
  const one = generateKeys().publicKey
  await wg('addconf IF FILE', peerLines(77, one).join('\n'))
  expect((await wg('show IF peers')).trimEnd().split('\n')).toHaveLength(6)
  await wg('syncconf IF FILE', shown)
  expect((await wg('showconf IF')).split('\n').sort()).toEqual(shown.split('\n').sort())
}

function peerLines(index: number, publicKey: string): string[] {
  const network = `10.${1 + (index >> 8)}.${index & 255}`
  return [
    '[Peer]',
    `PublicKey = ${publicKey}`,
    `AllowedIPs = ${network}.0/24, fd00:${index.toString(16)}::/64`,
  ]
}

/** `syncconf` with what is set already must not disturb a session. */
async function syncKeepsSession(lab: Lab): Promise<void> {
  const [pair = [subject, subject]] = pairs
  const tunnel = await openTunnel(lab, pair)
  const { left, right } = tunnel
  await untilOpen(tunnel)
  const handshakeMs = await left.latestHandshakeMs()
  const received = Number((await left.show('transfer'))[0]?.[1])
  const shown = await left.host.run(['wg', 'showconf', left.interfaceName])
  await left.host.run(['wg', 'syncconf', left.interfaceName, lab.file(shown)])
  expect(await ping(left.host, right.addresses.inner4, 2)).toBe(2)
  expect(await left.hasKeptKeypair(handshakeMs)).toBe(true)
  expect(Number((await left.show('transfer'))[0]?.[1]), 'counters go on').toBeGreaterThan(received)
}

async function manyPeers(lab: Lab): Promise<void> {
  const [pair = [subject, subject]] = pairs
  const { left, right } = layTunnel(lab, pair)
  await right.up()
  await subject.device(left.host, left.interfaceName)
  const keys = Array.from({ length: MANY_PEERS - 1 }, () => generateKeys().publicKey)
  const real = [
    '[Peer]',
    `PublicKey = ${right.keys.publicKey}`,
    'Endpoint = 192.0.2.2:51820',
    'AllowedIPs = 10.77.0.2/32',
  ]
  const peers = keys.flatMap((key, i) => [...peerLines(i, key), `PresharedKey = ${generatePresharedKey()}`])
  const config = [
    '[Interface]',
    `PrivateKey = ${left.keys.privateKey}`,
    'ListenPort = 51820',
    ...peers,
    ...real,
  ]
  await left.host.run(['wg', 'setconf', left.interfaceName, lab.file(config.join('\n'))])
  expect(await left.show('peers')).toHaveLength(MANY_PEERS)
  await left.host.run(`ip addr add 10.77.0.1/24 dev ${left.interfaceName}`)
  await left.host.run(`ip link set ${left.interfaceName} up`)
  await until('an answer', async () => (await ping(left.host, '10.77.0.2', 1)) === 1)
  const [pid] = left.host.daemonPids()
  expect(memoryMib(await left.host.run(`cat /proc/${pid}/status`))).toBeLessThan(MEMORY_LIMIT_MIB)
}

/** As with the kernel's: a port that the system chose is kept while the link is down, and after. */
async function keepsPort(lab: Lab): Promise<void> {
  const { host, name, wg } = await makeDevice(lab)
  await wg('set IF listen-port 0')
  await host.run(`ip link set ${name} up`)
  const port = await wg('show IF listen-port')
  expect(Number(port)).toBeGreaterThan(0)
  for (let round = 0; round < 2; round++) {
    await host.run(`ip link set ${name} down`)
    await until('the link is down', async () => !(await host.run('ss -Hlun')).includes(`:${port.trim()} `))
    expect(await wg('show IF listen-port')).toBe(port)
    await host.run(`ip link set ${name} up`)
    await until('the link is up', async () => (await host.run('ss -Hlun')).includes(`:${port.trim()} `))
    expect(await wg('show IF listen-port')).toBe(port)
  }
}

/** As with wireguard-go: the socket is what the device is held by. */
async function endsWithSocket(lab: Lab): Promise<void> {
  const { host, name } = await makeDevice(lab)
  await host.run(`rm /var/run/wireguard/${name}.sock`)
  await until('the daemon has ended', () => host.backgroundPids().length === 0)
  expect((await host.tryRun(`ip link show ${name}`)).code).not.toBe(0)
}

/** wg-quick finds `overlay-device` by the environment and does the rest itself. */
async function quick(lab: Lab): Promise<void> {
  const [pair = [subject, subject]] = pairs
  const tunnel = layTunnel(lab, pair)
  const { left, right } = tunnel
  await right.up()
  const before = await systemState(left.host, left.interfaceName)
  const program = isStandIn ? 'wireguard-go' : 'overlay-device'
  const env = { ...binPath, WG_QUICK_USERSPACE_IMPLEMENTATION: program }
  for (let round = 0; round < 3; round++) {
    await left.host.run(['wg-quick', 'up', left.file], { env })
    await untilOpen(tunnel)
    await left.host.run(['wg-quick', 'down', left.file], { env })
    const state = (): Promise<Record<string, string>> => systemState(left.host, left.interfaceName)
    await expect.poll(state, { timeout: RESTORE_LIMIT_MS }).toEqual(before)
  }
}

requirement(`wg and wg-quick with ${subject.name}`, [...TUNNEL_PROGRAMS, 'nft'], () => {
  test('wg set changes everything there is, and wg show dump shows it', () => withLab(setEverything))
  test('wg show prints the device for people', () => withLab(showForPeople))
  test('wg showconf, setconf, addconf and syncconf agree with each other', () => withLab(roundTrip))
  test('wg syncconf without a change keeps the session', () => withLab(syncKeepsSession))
  test('wg setconf takes 1,000 peers, in 200 MB', () => withLab(manyPeers))
  test.skipIf(isStandIn)('a port that the system chose stays over link down and up', () => withLab(keepsPort))
  test('a device ends when its socket is removed', () => withLab(endsWithSocket))
  test('wg-quick brings the interface up and down three times and leaves nothing', () => withLab(quick))
})
