/**
 * Ordinary programs through the tunnel: ping of all sizes, HTTP, iperf3, ssh and scp.
 *
 *   left (clients) ── eth0 ════ tunnel ════ eth0 ── right (servers)
 */

import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Pair, pairName, pairs, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { Lab, until } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { execute } from '../support/processes.js'
import { requirement } from '../support/requirement.js'
import { openTunnel, type Tunnel } from '../support/tunnel.js'

const PROGRAMS = [...TUNNEL_PROGRAMS, 'curl', 'iperf3', 'sshd', 'ssh', 'scp', 'ssh-keygen', 'ss']
const FILE_BYTES = 8 << 20
const FLOOD_PINGS = 250 // all of them fit into the socket of a receiver that has no CPU for so long
const UDP_PACKETS = 2000
const UDP_TRIES = 10

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Waits until a program of the right host listens. */
async function untilListening({ right }: Tunnel, port: number): Promise<void> {
  await until(`a listener on port ${port}`, async () =>
    (await right.host.run('ss -Hltn')).includes(`:${port} `),
  )
}

interface IperfSummary {
  readonly sum_received?: { readonly bits_per_second: number }
  readonly sum?: { readonly lost_percent: number; readonly packets: number }
}

/** One run with a server of its own: one that still closes the run before would refuse this one. */
async function iperf(tunnel: Tunnel, port: number, line: string): Promise<IperfSummary> {
  const { left, right } = tunnel
  const server = right.host.start(`iperf3 -s -1 -p ${port}`)
  await untilListening(tunnel, port)
  const text = await left.host.run(`iperf3 -J -c ${right.addresses.inner4} -p ${port} ${line}`)
  const { end, error } = JSON.parse(text) as { end: IperfSummary; error?: string }
  if (error !== undefined) throw new Error(`iperf3 ${line}: ${error}\n${server.stdout()}`)
  await server.end()
  return end
}

interface SshFiles {
  readonly serverConfig: string
  readonly clientOptions: readonly string[]
}

/** Throw-away host and user keys; nothing of the machine's own ssh set-up is read. */
async function makeSshFiles(directory: string): Promise<SshFiles> {
  const path = (name: string): string => join(directory, name)
  for (const name of ['host', 'user']) {
    await execute([], ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path(name)])
  }
  writeFileSync(path('authorized'), readFileSync(path('user.pub')))
  chmodSync(path('authorized'), 0o600)
  writeFileSync(path('known'), `* ${readFileSync(path('host.pub'), 'utf8')}`)
  const lines = [
    'Port 2222',
    `HostKey ${path('host')}`,
    `AuthorizedKeysFile ${path('authorized')}`,
    `PidFile ${path('sshd.pid')}`,
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    'StrictModes no',
    'PermitRootLogin prohibit-password',
    'Subsystem sftp internal-sftp',
  ]
  writeFileSync(path('sshd_config'), `${lines.join('\n')}\n`)
  const options = ['BatchMode=yes', `UserKnownHostsFile=${path('known')}`, 'StrictHostKeyChecking=yes']
  const flags = options.flatMap((option) => ['-o', option])
  return { serverConfig: path('sshd_config'), clientOptions: ['-F', 'none', '-i', path('user'), ...flags] }
}

async function pingAllSizes(tunnel: Tunnel): Promise<void> {
  for (const size of [0, 1, 15, 16, 17, 1391, 1392, 1393, 1472, 3000, 9000, 65_507]) {
    // Sockets hold two of the largest at most, in pieces.
    const options = { extra: `-s ${size}`, intervalS: size > 9000 ? 1 : 0.05 }
    const result = await ping(tunnel.left.host, tunnel.right.addresses.inner4, 2, options)
    expect(result, `${size} bytes`).toBe(2)
  }
  const result = await ping(tunnel.left.host, tunnel.right.addresses.inner6, 2, { extra: '-s 4000' })
  expect(result).toBe(2)
}

async function pingFlood(tunnel: Tunnel): Promise<void> {
  const options = { intervalS: 0.002 }
  const result = await ping(tunnel.left.host, tunnel.right.addresses.inner4, FLOOD_PINGS, options)
  expect(result).toBe(FLOOD_PINGS)
}

async function fetchPages(tunnel: Tunnel, directory: string): Promise<void> {
  const { left, right } = tunnel
  const [file, copy] = [join(directory, 'page'), join(directory, 'page-copy')]
  const bytes = randomBytes(FILE_BYTES)
  writeFileSync(file, bytes)
  const serve =
    'const fs=require("fs");require("http").createServer((q,s)=>q.url==="/"?s.end("hello"):' +
    'fs.createReadStream(process.argv[1]).pipe(s)).listen(8080,"::")'
  right.host.start(['node', '-e', serve, file])
  await untilListening(tunnel, 8080)
  expect(await left.host.run(`curl -sS http://${right.addresses.inner4}:8080/`)).toBe('hello')
  await left.host.run(['curl', '-sS', '-o', copy, `http://[${right.addresses.inner6}]:8080/file`])
  expect(sha256(readFileSync(copy))).toBe(sha256(bytes))
}

async function measure(tunnel: Tunnel): Promise<void> {
  for (const [i, direction] of ['', '-R', '-P 4'].entries()) {
    const { sum_received } = await iperf(tunnel, 5201 + i, `-t 2 ${direction}`)
    expect(sum_received?.bits_per_second, direction).toBeGreaterThan(0)
  }
  // The socket of a receiver that has to wait for a CPU overflows, which is nobody's fault: not in every run.
  const lostPercents: number[] = []
  while (lostPercents.length < UDP_TRIES && !lostPercents.some((percent) => percent < 1)) {
    const { sum } = await iperf(
      tunnel,
      5210 + lostPercents.length,
      `-u -b 10M -l 1200 -w 200K -k ${UDP_PACKETS}`,
    )
    expect(sum?.packets).toBeGreaterThanOrEqual(UDP_PACKETS)
    lostPercents.push(sum?.lost_percent ?? 100)
  }
  expect(Math.min(...lostPercents), `of ${lostPercents.join(', ')}`).toBeLessThan(1)
}

async function logInAndCopy(tunnel: Tunnel, directory: string): Promise<void> {
  const { left, right } = tunnel
  const { serverConfig, clientOptions } = await makeSshFiles(directory)
  mkdirSync('/run/sshd', { recursive: true })
  right.host.start(['/usr/sbin/sshd', '-D', '-e', '-f', serverConfig])
  await untilListening(tunnel, 2222)
  const login = `root@${right.addresses.inner4}`
  const words = await left.host.run(['ssh', ...clientOptions, '-p', '2222', login, 'echo', 'through'])
  expect(words).toBe('through\n')
  const bytes = randomBytes(FILE_BYTES)
  const [here, there, back] = ['here', 'there', 'back'].map((name) => join(directory, name))
  writeFileSync(`${here}`, bytes)
  const scp = ['scp', ...clientOptions, '-q', '-P', '2222']
  await left.host.run([...scp, `${here}`, `${login}:${there}`])
  await left.host.run([...scp, `${login}:${there}`, `${back}`])
  expect(sha256(readFileSync(`${back}`))).toBe(sha256(bytes))
}

function describePair(pair: Pair): void {
  let lab: Lab
  let tunnel: Tunnel
  beforeAll(async () => {
    lab = new Lab()
    tunnel = await openTunnel(lab, pair)
  })
  afterAll(() => lab.close())

  test('ping passes with every size up to the largest IPv4 packet', () => pingAllSizes(tunnel))
  test('a flood of small pings loses nothing', () => pingFlood(tunnel))
  test('curl fetches a page and a large file unharmed over IPv4 and IPv6', () =>
    fetchPages(tunnel, lab.directory))
  test('iperf3 runs over TCP both ways and over UDP', () => measure(tunnel))
  test('logs in with a key and scp copies a file both ways unharmed', () =>
    logInAndCopy(tunnel, lab.directory))
}

for (const pair of pairs) {
  requirement(`programs: ${pairName(pair)}`, PROGRAMS, () => describePair(pair))
}
