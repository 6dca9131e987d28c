/**
 * An interface is moved into another network namespace, and its sockets stay where they were made: the way to
 * give one container, and nothing else, a tunnel.
 *
 *   box ── the interface ┄┄ left (the daemon) ── eth0 ── right
 */

import { expect, test } from 'vitest'
import { isStandIn, overlayCommand, pairs, subject, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Host, type Lab, until, withLab } from '../support/lab.js'
import { ping } from '../support/ping.js'
import { requirement } from '../support/requirement.js'
import { systemState } from '../support/system-state.js'
import { layTunnel, type Side, type Tunnel, untilOpen } from '../support/tunnel.js'

interface Scene extends Tunnel {
  readonly box: Host
}

async function setScene(lab: Lab): Promise<Scene> {
  const [pair = [subject, subject]] = pairs
  const tunnel = layTunnel(lab, pair, { right: { knowsEndpoint: false } })
  await tunnel.right.up()
  return { ...tunnel, box: lab.host('box') }
}

/** Makes the interface, with keys and peers, by `wg`. */
async function makeDevice({ host, interfaceName, file }: Side): Promise<void> {
  await subject.device(host, interfaceName)
  await host.run(['bash', '-c', 'wg setconf "$1" <(wg-quick strip "$2")', 'set', interfaceName, file])
}

async function move({ left, box }: Scene): Promise<void> {
  const { host, interfaceName, addresses } = left
  await host.run(`ip link set ${interfaceName} netns ${box.name}`)
  await box.run(`ip addr add ${addresses.inner4}/24 dev ${interfaceName}`)
  await box.run(`ip link set ${interfaceName} up`)
}

async function untilBoxAnswers({ box, right }: Scene): Promise<void> {
  await until('an answer to the box', async () => (await ping(box, right.addresses.inner4)) === 1)
}

async function indexOf(host: Host, interfaceName: string): Promise<number> {
  return Number((await host.run(`cat /sys/class/net/${interfaceName}/ifindex`)).trim())
}

async function untilDaemonsEnded({ host }: Side): Promise<void> {
  await until('the daemon has ended', () => host.backgroundPids().length === 0)
}

async function servesElsewhere(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left, right, box } = scene
  const { interfaceName } = left
  await makeDevice(left)
  const index = await indexOf(left.host, interfaceName)
  await move(scene)
  await untilBoxAnswers(scene)
  expect(await left.show('peers'), 'the control socket serves').toEqual([[right.keys.publicKey]])
  expect(await left.host.run('ss -Hlun'), 'sockets are at home').toContain(':51820')
  expect(await box.run('ss -Hlun')).toBe('')

  // Another interface of its name and index: nothing of it is the tunnel's business.
  await left.host.run(`ip link add ${interfaceName} index ${index} type veth peer name other`)
  await left.host.run(`ip link set ${interfaceName} mtu 1300 up`)
  await left.host.run(`ip link set ${interfaceName} down`)
  await left.host.run(`ip link del ${interfaceName}`)
  expect(await ping(box, right.addresses.inner4)).toBe(1)

  await box.run(`ip link set ${interfaceName} down`)
  await until('no socket while the link is down', async () => (await left.host.run('ss -Hlun')) === '')
  await box.run(`ip link set ${interfaceName} up`)
  await untilBoxAnswers(scene)

  await box.run(`ip link set ${interfaceName} name eth7`)
  await untilBoxAnswers(scene)
  await box.run('ip link del eth7')
  await untilDaemonsEnded(left)
}

async function comesHome(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left, box } = scene
  const { host, interfaceName, addresses } = left
  await makeDevice(left)
  await move(scene)
  await untilBoxAnswers(scene)
  // Its old index is taken: it comes back with another one.
  await host.run(`ip link add taken index ${await indexOf(box, interfaceName)} type veth peer name other`)
  await box.run(['ip', 'link', 'set', interfaceName, 'netns', String(host.daemonPids()[0])])
  await host.run(`ip addr add ${addresses.inner4}/24 dev ${interfaceName}`)
  await host.run(`ip link set ${interfaceName} up`)
  await untilOpen(scene)
  await host.run('ip link del taken')
  await untilOpen(scene)
  await host.run(`ip link del ${interfaceName}`)
  await untilDaemonsEnded(left)
}

async function tunnelMoves(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left, box } = scene
  const { host, interfaceName, addresses } = left
  const before = await systemState(host, interfaceName)
  await left.up()
  await untilOpen(scene)
  await move(scene)
  await untilBoxAnswers(scene)
  const status = async (): Promise<string> =>
    (await host.run([overlayCommand, 'status', interfaceName])).trim()
  await expect.poll(status).toMatch(new RegExp(`namespace +${box.name}`))
  expect(await status()).toContain(`${addresses.inner4}/24`)

  await left.reload()
  await untilBoxAnswers(scene)

  await box.run(['ip', 'link', 'set', interfaceName, 'netns', String(host.daemonPids()[0])])
  await until('it is home', async () => !(await status()).includes('namespace'))
  await left.reload()
  await untilOpen(scene)

  await move(scene)
  await left.down()
  expect(await box.run('ip -o link'), 'it is gone there').not.toContain(interfaceName)
  await expect.poll(() => systemState(host, interfaceName)).toEqual(before)
}

requirement(`network namespaces with ${subject.name}`, [...TUNNEL_PROGRAMS, 'nft', 'ss'], () => {
  test('an interface works in the namespace it is moved to, its sockets at home', () =>
    withLab(servesElsewhere))
  test('an interface comes home, under another index', () => withLab(comesHome))
  test.skipIf(isStandIn)('a tunnel is moved, reloaded, moved back, and ended elsewhere', () =>
    withLab(tunnelMoves),
  )
})
