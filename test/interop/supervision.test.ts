/**
 * `overlay up` where no service manager looks after the daemon: it comes back after a crash, the host as it was
 * meanwhile; it has few privileges, and its hooks have all of them.
 *
 *   left (ours) ── eth0 ── right
 */

import { chownSync, copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isStandIn, overlayCommand, pairs, subject, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import type { RunResult } from '../support/processes.js'
import { requirement } from '../support/requirement.js'
import { systemState } from '../support/system-state.js'
import { layTunnel, type Side, type Tunnel, untilOpen } from '../support/tunnel.js'

const RESTORE_LIMIT_MS = 60_000 // reached only if something stays
const SOMEBODY = 65_534
const NET_BIND_SERVICE = 2n ** 10n
const NET_ADMIN = 2n ** 12n
const DAC_OVERRIDE = 2n ** 1n

interface Scene extends Tunnel {
  readonly before: Record<string, string>
  readonly hookLog: string
}

/** Right is up. */
async function setScene(lab: Lab, lines: readonly string[] = []): Promise<Scene> {
  const [pair = [subject, subject]] = pairs
  const hookLog = lab.file('')
  const hooks = ['PostUp', 'PostDown'].map((name) => `${name} = echo ${name} %i >> ${hookLog}`)
  const left = { allowedIps: ['0.0.0.0/0', '::/0'], interfaceLines: [...hooks, ...lines] }
  const tunnel = layTunnel(lab, pair, { left })
  await tunnel.right.up()
  const before = await systemState(tunnel.left.host, tunnel.left.interfaceName)
  return { ...tunnel, before, hookLog }
}

function overlay({ host }: Side, ...words: string[]): Promise<RunResult> {
  return host.tryRun([overlayCommand, ...words])
}

function daemonOf({ host }: Side): number {
  const [pid] = host.daemonPids()
  return pid ?? 0
}

function crash(side: Side): void {
  process.kill(daemonOf(side), 'SIGKILL')
}

/** The daemon is away, what it did is undone, and its guard waits. */
async function untilWaiting({ host, interfaceName }: Side): Promise<void> {
  await until('the daemon died and is undone', async () => {
    const { stdout } = await host.tryRun([overlayCommand, 'status', interfaceName])
    return stdout.includes('it is being started again') && host.daemonPids().length === 0
  })
}

async function expectRestored({ left, before }: Scene): Promise<void> {
  const state = (): Promise<Record<string, string>> => systemState(left.host, left.interfaceName)
  await expect.poll(state, { timeout: RESTORE_LIMIT_MS }).toEqual(before)
}

const hookLines = (scene: Scene): string[] => readFileSync(scene.hookLog, 'utf8').split('\n').filter(Boolean)

async function comesBack(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  await left.up()
  await untilOpen(scene)
  const first = daemonOf(left)
  crash(left)
  await untilWaiting(left)
  expect(await left.host.run('ip rule'), 'undone before it is started again').not.toContain('fwmark')
  await until('another daemon', () => daemonOf(left) !== 0)
  await untilOpen(scene)
  expect(daemonOf(left)).not.toBe(first)
  const name = left.interfaceName
  const wanted = [`PostUp ${name}`, `PostDown ${name}`, `PostUp ${name}`]
  await expect.poll(() => hookLines(scene), { timeout: RESTORE_LIMIT_MS }).toEqual(wanted)
  expect(readFileSync(`/var/log/overlay/${name}.log`, 'utf8')).toContain('reason="ended by signal 9"')
  await left.down()
  await expectRestored(scene)
  expect(hookLines(scene).at(-1)).toBe(`PostDown ${name}`)
}

/** A file that is wrong by now keeps it away; when it is mended the tunnel is back. */
async function keepsTrying(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  await left.up()
  const spare = lab.file('')
  copyFileSync(left.file, spare)
  await left.host.run(['sh', '-c', `echo Nonsense > ${left.file}`])
  crash(left)
  const log = `/var/log/overlay/${left.interfaceName}.log`
  await until('a start that failed', () =>
    readFileSync(log, 'utf8').includes('reason="ended with exit code 1"'),
  )
  expect(readFileSync(log, 'utf8')).toMatch(/start\.failed .*neither a section nor a setting/)
  copyFileSync(spare, left.file)
  await untilOpen(scene)
  await left.down()
  await expectRestored(scene)
}

async function downWhileItWaits(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  await left.up()
  crash(left)
  await untilWaiting(left)
  const up = await overlay(left, 'up', left.file)
  expect(up.code).not.toBe(0)
  expect(up.stderr).toContain('crashed and is being started again')
  await left.down()
  await expectRestored(scene)
}

async function downAtAnyMoment(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  for (const waitMs of [0, 50, 150, 400, 900, 1100, 1300]) {
    await left.up()
    crash(left)
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    await left.down()
    await expectRestored(scene)
  }
}

async function withoutGuard(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  await left.up()
  for (const pid of left.host.guardPids()) process.kill(pid, 'SIGKILL')
  await untilOpen(scene)
  await left.down()
  expect(hookLines(scene).at(-1)).toBe(`PostDown ${left.interfaceName}`)
  await expectRestored(scene)
  await left.up()
  await untilOpen(scene)
  await left.down()
  await expectRestored(scene)
}

/** The next daemon finds out too that there is no guard any more. */
async function withoutGuardAfterCrash(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  await left.up()
  const first = daemonOf(left)
  crash(left)
  await until('another daemon', () => ![0, first].includes(daemonOf(left)))
  await untilOpen(scene)
  for (const pid of left.host.guardPids()) process.kill(pid, 'SIGKILL')
  await left.down()
  await expectRestored(scene)
  expect(hookLines(scene).at(-1)).toBe(`PostDown ${left.interfaceName}`)
}

async function withoutFile(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  await left.up()
  rmSync(left.file)
  await left.down()
  await expectRestored(scene)
  expect(hookLines(scene).at(-1)).toBe(`PostDown ${left.interfaceName}`)
}

function capabilitiesOf(status: string): bigint {
  return BigInt(`0x${/CapEff:\s*(\w+)/.exec(status)?.[1] ?? '0'}`)
}

async function fewPrivileges(lab: Lab): Promise<void> {
  const statusFile = lab.file('')
  const { left } = await setScene(lab, [`PostUp = cat /proc/self/status > ${statusFile}`])
  await left.up()
  const status = readFileSync(`/proc/${daemonOf(left)}/status`, 'utf8')
  expect(capabilitiesOf(status)).toBe(NET_ADMIN | NET_BIND_SERVICE)
  expect(status).toMatch(/NoNewPrivs:\s*1/)
  const own = capabilitiesOf(readFileSync('/proc/self/status', 'utf8'))
  const ofHook = readFileSync(statusFile, 'utf8')
  expect(capabilitiesOf(ofHook)).toBe(own)
  expect(ofHook).toMatch(/NoNewPrivs:\s*0/)
  await left.down()
}

/** `sudo overlay up ./wg0.conf` in a home that is closed to everybody else. */
async function filesOfSomebody(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  const home = join(lab.directory, 'home')
  mkdirSync(home, { mode: 0o700 })
  const file = join(home, `${left.interfaceName}.conf`)
  copyFileSync(left.file, file)
  for (const path of [home, file]) chownSync(path, SOMEBODY, SOMEBODY)
  await left.host.run([overlayCommand, 'up', file])
  await untilOpen(scene)
  const status = readFileSync(`/proc/${daemonOf(left)}/status`, 'utf8')
  expect(capabilitiesOf(status)).toBe(NET_ADMIN | NET_BIND_SERVICE | DAC_OVERRIDE)
  await left.host.run([overlayCommand, 'up', file, '--reload'])
  await left.down()
  await expectRestored(scene)
}

/** The daemon was given no access to files that were root's when it was started. */
async function filesBecomeSomebodys(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  await left.up()
  chownSync(left.file, SOMEBODY, SOMEBODY)
  const reload = await overlay(left, 'up', left.file, '--reload')
  expect(reload.code).not.toBe(0)
  expect(reload.stderr).toContain('take the tunnel down and up again')
  await untilOpen(scene)
  await left.down()
  await left.up()
  const again = await overlay(left, 'up', left.file, '--reload')
  expect(again.code).toBe(0)
  await left.down()
  await expectRestored(scene)
}

async function failingHook(lab: Lab): Promise<void> {
  const { left } = await setScene(lab, ['PostUp = printf "no such thing" >&2; exit 3'])
  const up = await overlay(left, 'up', left.file)
  expect(up.stderr).toBe(
    'overlay: PostUp hook 2 of 2 ended with exit code 3\n  hint: it printed: no such thing\n',
  )
}

requirement(`a daemon of ${subject.name} in the background`, [...TUNNEL_PROGRAMS, 'node'], () => {
  const ours = test.skipIf(isStandIn)
  ours('comes back after a crash, and the host is as before meanwhile', () => withLab(comesBack))
  ours('is tried again until it can come up', () => withLab(keepsTrying))
  ours('can be ended while its guard waits', () => withLab(downWhileItWaits))
  ours('leaves nothing whenever after a crash it is ended', () => withLab(downAtAnyMoment))
  ours('goes on when its guard is killed', () => withLab(withoutGuard))
  ours('ends when told to after a crash and without its guard', () => withLab(withoutGuardAfterCrash))
  ours('runs the hooks that it came up with when its file is gone', () => withLab(withoutFile))
  ours('has two capabilities, and its hooks have all', () => withLab(fewPrivileges))
  ours('says which hook failed, and what it printed', () => withLab(failingHook))
  ours('says what helps when its file is somebody else’s by now', () => withLab(filesBecomeSomebodys))
  ours('may use files that are not of root, if the tunnel needs them', () => withLab(filesOfSomebody))
})
