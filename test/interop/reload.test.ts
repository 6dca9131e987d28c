/**
 * A changed file is taken over while traffic flows; a wrong file changes nothing.
 *
 *   left (reloads) ── eth0 ── right
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  isStandIn,
  overlayCommand,
  type Pair,
  pairName,
  pairs,
  TUNNEL_PROGRAMS,
} from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import { SteadyPings } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { systemState } from '../support/system-state.js'
import { generateKeys, layTunnel, openTunnel, type Side, type Tunnel, untilOpen } from '../support/tunnel.js'

const PINGS = 10 // before a change, and after it

/** Adds a peer, an address and a keepalive to the left side's file. */
function extend(side: Side): string {
  const added = generateKeys().publicKey
  const text = readFileSync(side.file, 'utf8')
    .replace('Address = ', 'Address = 10.88.0.1/24, ')
    .concat('PersistentKeepalive = 25\n', `\n[Peer]\nPublicKey = ${added}\nAllowedIPs = 10.99.0.0/16\n`)
  writeFileSync(side.file, text)
  return added
}

/** Runs `change` while pings go through, and expects none lost and the same session after it. */
async function undisturbed(tunnel: Tunnel, change: () => Promise<void>): Promise<void> {
  const { left, right } = tunnel
  const handshakeMs = await left.latestHandshakeMs()
  const pings = new SteadyPings(left.host, right.addresses.inner4)
  await pings.untilAnswered(PINGS)
  await change()
  await pings.untilAnswered(PINGS)
  expect(await pings.stop(), 'lost pings').toEqual([])
  expect(await left.hasKeptKeypair(handshakeMs), 'the handshake is the same').toBe(true)
}

async function expectExtended(side: Side, added: string): Promise<void> {
  await until('the added peer', async () => (await side.show('peers')).flat().includes(added))
  await until('the keepalive', async () =>
    (await side.show('persistent-keepalive')).some(([key, seconds]) => key !== added && seconds === '25'),
  )
  if (isStandIn) return
  await until('the added address', async () =>
    (await side.host.run(`ip -4 addr show dev ${side.interfaceName}`)).includes('10.88.0.1/24'),
  )
  await until('the route to the added peer', async () =>
    (await side.host.run('ip route show 10.99.0.0/16')).includes(`dev ${side.interfaceName}`),
  )
}

async function reload(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  await untilOpen(tunnel)
  const before = readFileSync(tunnel.left.file)
  const state = await systemState(tunnel.left.host, tunnel.left.interfaceName)
  const added = extend(tunnel.left)
  await undisturbed(tunnel, () => tunnel.left.reload())
  await expectExtended(tunnel.left, added)
  writeFileSync(tunnel.left.file, before)
  await undisturbed(tunnel, () => tunnel.left.reload())
  expect((await tunnel.left.show('peers')).flat()).toEqual([tunnel.right.keys.publicKey])
  if (!isStandIn) expect(await systemState(tunnel.left.host, tunnel.left.interfaceName)).toEqual(state)
}

async function reloadBySignal(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  await untilOpen(tunnel)
  const added = extend(tunnel.left)
  await undisturbed(tunnel, async () => {
    for (const pid of tunnel.left.host.daemonPids()) process.kill(pid, 'SIGHUP')
    await expectExtended(tunnel.left, added)
  })
}

async function refuseWrongReload(lab: Lab, pair: Pair): Promise<void> {
  const tunnel = await openTunnel(lab, pair)
  const { left } = tunnel
  await untilOpen(tunnel)
  const state = await systemState(left.host, left.interfaceName)
  const shown = await left.host.run(['wg', 'showconf', left.interfaceName])
  writeFileSync(left.file, `${readFileSync(left.file, 'utf8')}AllowedIPs = 10.0.0.0/99\n`)
  await undisturbed(tunnel, async () => {
    const refused = await left.host.tryRun([overlayCommand, 'up', left.file, '--reload'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('10.0.0.0/99')
  })
  expect(await left.host.run(['wg', 'showconf', left.interfaceName])).toBe(shown)
  expect(await systemState(left.host, left.interfaceName)).toEqual(state)
}

/** Each breaks a good file in one place; the word must be in the message. */
const FAULTS: readonly [fault: string, replace: RegExp, by: string, named: string][] = [
  ['an unknown key', /ListenPort/, 'ListenProt', 'ListenPort'],
  ['a bad prefix', /AllowedIPs = .*/, 'AllowedIPs = 10.0.0.0/33', '10.0.0.0/33'],
  ['a bad port', /ListenPort = .*/, 'ListenPort = 70000', '70000'],
  ['a bad endpoint', /Endpoint = .*/, 'Endpoint = 192.0.2.2', '192.0.2.2'],
  ['a short private key', /PrivateKey = .*/, 'PrivateKey = c2hvcnQ=', 'PrivateKey'],
  ['an unknown section', /\[Peer\]/, '[Pear]', 'Pear'],
  ['binary rubbish', /$/, '\0\x01\x02\xff', ''],
]

async function refuseWrongFiles(lab: Lab, pair: Pair): Promise<void> {
  const { left } = layTunnel(lab, pair)
  const good = readFileSync(left.file, 'utf8')
  const before = await systemState(left.host, left.interfaceName)
  for (const [fault, place, by, named] of FAULTS) {
    writeFileSync(left.file, good.replace(place, by))
    const refused = await left.host.tryRun([overlayCommand, 'up', left.file])
    expect(refused.code, fault).toBe(1)
    expect(refused.stderr, fault).toContain(named)
    expect(refused.stderr, fault).toContain(left.file)
    expect(refused.stderr, 'no secret is told').not.toContain('c2hvcnQ=')
    expect(await systemState(left.host, left.interfaceName), fault).toEqual(before)
  }
}

for (const pair of pairs.filter(([left]) => isStandIn || left.name === 'overlay')) {
  requirement(`reload: ${pairName(pair)}`, [...TUNNEL_PROGRAMS, 'nft'], () => {
    test('takes a changed file over and back without a lost packet or a new handshake', () =>
      withLab((lab) => reload(lab, pair)))
    const ours = test.skipIf(isStandIn)
    ours('SIGHUP does the same', () => withLab((lab) => reloadBySignal(lab, pair)))
    ours('a wrong file is refused and changes nothing', () => withLab((lab) => refuseWrongReload(lab, pair)))
    ours('up with a wrong file names the fault and leaves the system as it was', () =>
      withLab((lab) => refuseWrongFiles(lab, pair)),
    )
  })
}
