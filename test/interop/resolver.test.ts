/**
 * Names on machines as they are: no resolvconf, a resolv.conf that others write or nobody can; and IPv6 switched off.
 *
 *   left (ours)
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { tryFindProgram } from '../../src/platform/processes.js'
import { isStandIn, overlayCommand, pairs, subject, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import { requirement } from '../support/requirement.js'
import { layTunnel, type Side } from '../support/tunnel.js'

const BEFORE = 'nameserver 192.0.2.53\nsearch corp.example\n'

interface Scene {
  readonly left: Side
  /** What programs on the left see as /etc/resolv.conf. */
  readonly file: string
}

async function withScene(lines: readonly string[], run: (scene: Scene) => Promise<void>): Promise<void> {
  await withLab(async (lab: Lab) => {
    const [pair = [subject, subject]] = pairs
    const { left } = layTunnel(lab, pair, { left: { interfaceLines: lines } })
    const directory = `/etc/netns/${left.host.name}`
    mkdirSync(directory, { recursive: true })
    const file = `${directory}/resolv.conf`
    writeFileSync(file, BEFORE)
    try {
      await run({ left, file })
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
}

const DNS = 'DNS = 10.77.0.53, vpn.example'

async function writesItself({ left, file }: Scene): Promise<void> {
  await left.up()
  const during = readFileSync(file, 'utf8')
  expect(during).toMatch(/^nameserver 10\.77\.0\.53$/m)
  expect(during).not.toMatch(/^nameserver 192\.0\.2\.53$/m)
  expect(during.match(/^search.*$/gm)?.at(-1)).toBe('search vpn.example corp.example')
  await left.down()
  expect(readFileSync(file, 'utf8')).toBe(BEFORE)
}

async function keepsIt({ left, file }: Scene): Promise<void> {
  await left.up()
  writeFileSync(file, 'nameserver 192.0.2.99\n')
  await until('the servers are back', () => /^nameserver 10\.77\.0\.53$/m.test(readFileSync(file, 'utf8')))
  await left.down()
  expect(readFileSync(file, 'utf8')).toBe('nameserver 192.0.2.99\n')
}

async function doesWithout({ left, file }: Scene): Promise<void> {
  // The whole file system is: what `ip netns exec` binds from it is too.
  const directory = file.replace(/\/[^/]*$/, '')
  await left.host.run(['sh', '-c', `nsenter -t ${process.pid} -m mount -t tmpfs none ${directory}`])
  writeFileSync(file, BEFORE)
  await left.host.run(['sh', '-c', `nsenter -t ${process.pid} -m mount -o remount,ro ${directory}`])
  try {
    const { code, stderr } = await left.host.tryRun([overlayCommand, 'up', left.file])
    expect(code).toBe(0)
    expect(stderr).toContain('the DNS servers of the file are not used: cannot change /etc/resolv.conf')
    expect(await left.host.run([overlayCommand, 'status', left.interfaceName])).toContain('EROFS')
    await left.down()
    expect(readFileSync(file, 'utf8')).toBe(BEFORE)
  } finally {
    await left.host.run(['sh', '-c', `nsenter -t ${process.pid} -m umount ${directory}`])
  }
}

async function leavesItAlone({ left, file }: Scene): Promise<void> {
  await left.host.run([overlayCommand, 'up', left.file, '--no-dns'])
  expect(readFileSync(file, 'utf8')).toBe(BEFORE)
  await left.down()
}

async function withoutIpv6({ left }: Scene): Promise<void> {
  const off = ['all', 'default'].map((which) => `net.ipv6.conf.${which}.disable_ipv6=1`)
  await left.host.run(['sysctl', '-qw', ...off])
  const { code, stderr } = await left.host.tryRun([overlayCommand, 'up', left.file])
  expect({ code, warnings: stderr.match(/warning:/g)?.length }).toEqual({ code: 0, warnings: 1 })
  expect(stderr).toContain('IPv6 is switched off on this machine')
  const status = await left.host.run([overlayCommand, 'status', left.interfaceName])
  expect(status).toMatch(/addresses +10\.77\.0\.1\/24\n/)
  expect(status).toMatch(/warning +IPv6 is switched off/)
  await left.down()
}

async function smallMtu({ left }: Scene): Promise<void> {
  const { code, stderr } = await left.host.tryRun([overlayCommand, 'up', left.file])
  expect(code).toBe(0)
  expect(stderr).toContain('an MTU of 1200 is less than the 1280 that IPv6 needs')
  await left.down()
}

requirement(`${subject.name} on a machine as it is`, [...TUNNEL_PROGRAMS, 'node'], () => {
  const ours = test.skipIf(isStandIn)
  const plain = isStandIn || tryFindProgram('resolvconf') !== undefined
  const itself = test.skipIf(plain)
  itself('sets DNS servers without resolvconf, and takes them back', () => withScene([DNS], writesItself))
  itself('puts them back when another program writes resolv.conf', () => withScene([DNS], keepsIt))
  itself('comes up where resolv.conf cannot be written, and says so', () => withScene([DNS], doesWithout))
  ours('leaves the resolver alone with --no-dns', () => withScene([DNS], leavesItAlone))
  ours('comes up with IPv4 where IPv6 is switched off, with one warning', () => withScene([], withoutIpv6))
  ours('says that IPv6 needs a larger MTU', () => withScene(['MTU = 1200'], smallMtu))
})
