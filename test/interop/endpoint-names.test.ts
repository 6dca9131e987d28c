/**
 * A peer whose endpoint is a host name that does not resolve yet: the tunnel comes up without it, says so, and has it
 * once a name server answers.
 *
 *   left 192.0.2.1 (ours) ── eth0 ──── eth0 ── 192.0.2.2 right, and later a name server
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { isStandIn, overlayCommand, pairs, subject, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { LISTEN_PORT, layTunnel, type Tunnel } from '../support/tunnel.js'

const NAME = 'gateway.example'
const require = createRequire(import.meta.url)
/** Answers everything with the address of the right side. */
const NAME_SERVER = `
const packet = require(${JSON.stringify(require.resolve('dns-packet'))})
const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (bytes, from) => {
  const { id, flags, questions } = packet.decode(bytes)
  const answers = questions.flatMap(({ type, name }) => (type === 'A' ? [{ type, name, ttl: 1, data: '192.0.2.2' }] : []))
  socket.send(packet.encode({ type: 'response', id, flags: flags | 0x80, questions, answers }), from.port, from.address)
})
socket.bind(53, '192.0.2.2')
`

interface Scene extends Tunnel {
  readonly lab: Lab
}

/** `peerLines`: of the left side, besides its endpoint. */
async function withScene(
  lines: { readonly interfaceLines?: readonly string[]; readonly peerLines?: readonly string[] },
  run: (scene: Scene) => Promise<void>,
): Promise<void> {
  await withLab(async (lab) => {
    const [pair = [subject, subject]] = pairs
    const tunnel = layTunnel(lab, pair, { left: lines })
    const { left } = tunnel
    const text = readFileSync(left.file, 'utf8')
    writeFileSync(left.file, text.replace(/^Endpoint = .*$/m, `Endpoint = ${NAME}:${LISTEN_PORT}`))
    const directory = `/etc/netns/${left.host.name}`
    mkdirSync(directory, { recursive: true })
    writeFileSync(`${directory}/resolv.conf`, 'nameserver 192.0.2.2\noptions timeout:1 attempts:1\n')
    try {
      await tunnel.right.up()
      await run({ ...tunnel, lab })
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
}

function startNameServer({ lab, right }: Scene): void {
  right.host.start([process.execPath, lab.file(NAME_SERVER)])
}

async function comesUpWithout(scene: Scene): Promise<void> {
  const { left, right } = scene
  const { code, stderr } = await left.host.tryRun([overlayCommand, 'up', left.file])
  expect(code).toBe(0)
  expect(stderr).toContain(
    `warning: endpoint ${NAME}:${LISTEN_PORT} does not resolve: no name server answered`,
  )
  expect(await left.host.run(['ip', 'addr', 'show', 'dev', left.interfaceName])).toContain('10.77.0.1')
  const status = await left.host.run([overlayCommand, 'status', left.interfaceName])
  expect(status).toMatch(/warning +endpoint gateway\.example:51820 does not resolve: no name server answered/)
  // A file that was changed is taken all the same, and what it no longer names is not asked for.
  await left.host.run([overlayCommand, 'up', left.file, '--reload'])
  startNameServer(scene)
  // Nothing is sent on the left: the keepalive alone opens the tunnel.
  await until('a handshake', async () => (await right.latestHandshakeS()) > 0)
  expect(await left.endpoint()).toBe(`192.0.2.2:${LISTEN_PORT}`)
  expect(await ping(left.host, right.addresses.inner4, 3)).toBe(3)
  expect(await left.host.run([overlayCommand, 'status', left.interfaceName])).not.toContain(
    'does not resolve',
  )
  await left.down()
}

async function waitsIfAsked(scene: Scene): Promise<void> {
  const { left } = scene
  const up = left.host.start([overlayCommand, 'up', left.file, '--wait'])
  await until('the daemon asks', () => up.stderr().includes('no name server answers'))
  const links = await left.host.run(['ip', '-br', 'link'])
  expect(links).not.toContain(left.interfaceName)
  startNameServer(scene)
  expect(await up.end()).toBe(0)
  expect(await left.endpoint()).toBe(`192.0.2.2:${LISTEN_PORT}`)
  await left.down()
}

/** Its questions would go into the tunnel. */
async function waitsWithDefaultRoute(scene: Scene): Promise<void> {
  const { left } = scene
  const up = left.host.start([overlayCommand, 'up', left.file])
  await until('the daemon asks', () => up.stderr().includes('no name server answers'))
  startNameServer(scene)
  expect(await up.end()).toBe(0)
  expect(await left.endpoint()).toBe(`192.0.2.2:${LISTEN_PORT}`)
  await left.down()
}

requirement(`${subject.name}, endpoints that are names`, [...TUNNEL_PROGRAMS, 'node'], () => {
  const ours = test.skipIf(isStandIn)
  ours('comes up without one that does not resolve, and has it later', () =>
    withScene({ peerLines: ['PersistentKeepalive = 25'] }, comesUpWithout),
  )
  ours('waits for it with --wait', () => withScene({}, waitsIfAsked))
  ours('waits for it where it could not be asked for later', () =>
    withScene({ interfaceLines: ['DNS = 10.77.0.53'] }, waitsWithDefaultRoute),
  )
})
