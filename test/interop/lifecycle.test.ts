/**
 * What `up` changes, `down` puts back: after 100 rounds, after kill -9, after a failure half way,
 * and whoever ends the daemon.
 *
 *   left (the product) ── eth0 ── right
 */

import { existsSync, readFileSync, rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isStandIn, overlayCommand, pairs, subject, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { type Lab, until, withLab } from '../support/lab.js'
import type { RunResult } from '../support/processes.js'
import { requirement } from '../support/requirement.js'
import { systemState } from '../support/system-state.js'
import { layTunnel, type Side, type Tunnel, untilOpen } from '../support/tunnel.js'

const CYCLES = 100
const CYCLES_TIMEOUT_MS = 900_000
const RESTORE_LIMIT_MS = 60_000 // reached only if something stays
const EVERYTHING = ['0.0.0.0/0', '::/0']

interface Scene extends Tunnel {
  readonly before: Record<string, string>
  /** What the hooks have written. */
  readonly hookLog: string
}

/** Right is up; left has a file with default routes and all four hooks, and its state on record. */
async function setScene(lab: Lab, extraLines: readonly string[] = []): Promise<Scene> {
  const [pair = [subject, subject]] = pairs
  const hookLog = lab.file('')
  const hooks = ['PreUp', 'PostUp', 'PreDown', 'PostDown'].map(
    (name) => `${name} = echo ${name} %i >> ${hookLog}`,
  )
  const left = { allowedIps: EVERYTHING, interfaceLines: [...hooks, ...extraLines] }
  const tunnel = layTunnel(lab, pair, { left, right: { knowsEndpoint: false } })
  await tunnel.right.up()
  const before = await systemState(tunnel.left.host, tunnel.left.interfaceName)
  return { ...tunnel, before, hookLog }
}

async function expectRestored({ left, before }: Scene): Promise<void> {
  // wg-quick leaves the sysctl of default routes as it set it.
  const sysctl = isStandIn ? { 'sysctl net.ipv4.conf.all.src_valid_mark': expect.any(String) } : {}
  const state = (): Promise<Record<string, string>> => systemState(left.host, left.interfaceName)
  // The kernel removes the interface of a dead daemon a little after its process.
  await expect.poll(state, { timeout: RESTORE_LIMIT_MS }).toEqual({ ...before, ...sysctl })
}

function hookLines(scene: Scene): string[] {
  return readFileSync(scene.hookLog, 'utf8').split('\n').filter(Boolean)
}

function overlay({ host }: Side, ...words: string[]): Promise<RunResult> {
  return host.tryRun([overlayCommand, ...words])
}

/** And its guard, first. */
function killDaemon({ host }: Side, signal: NodeJS.Signals): void {
  const pids = [...host.guardPids(), ...host.daemonPids()]
  expect(pids.length).toBeGreaterThan(0)
  for (const pid of pids) process.kill(pid, signal)
}

async function manyCycles(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left } = scene
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    await left.up()
    if (cycle % 20 === 0) await untilOpen(scene)
    await left.down()
  }
  await expectRestored(scene)
  const hooks = ['PreUp', 'PostUp', 'PreDown', 'PostDown'].map((name) => `${name} ${left.interfaceName}`)
  expect(hookLines(scene)).toEqual(Array.from({ length: CYCLES }, () => hooks).flat())
}

async function killedThenDown(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  await scene.left.up()
  await untilOpen(scene)
  killDaemon(scene.left, 'SIGKILL')
  await until('the daemon is dead', () => scene.left.host.daemonPids().length === 0)
  await scene.left.down()
  await expectRestored(scene)
  expect(hookLines(scene)).toContain(`PostDown ${scene.left.interfaceName}`)
}

async function killedThenUp(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  for (let round = 0; round < 3; round++) {
    await scene.left.up()
    await untilOpen(scene)
    killDaemon(scene.left, 'SIGKILL')
    await until('the daemon is dead', () => scene.left.host.daemonPids().length === 0)
  }
  await scene.left.up()
  await untilOpen(scene)
  const rules = await scene.left.host.run('ip -4 rule')
  expect(rules.match(/suppress_prefixlength/g), 'nothing was added twice').toHaveLength(1)
  await scene.left.down()
  await expectRestored(scene)
}

async function endedBySignal(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    await scene.left.up()
    killDaemon(scene.left, signal)
    await expectRestored(scene)
  }
}

async function interfaceDeleted(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  await scene.left.up()
  await untilOpen(scene)
  await scene.left.host.run(`ip link del ${scene.left.interfaceName}`)
  await expectRestored(scene)
  await scene.left.up()
  await untilOpen(scene)
  await scene.left.down()
  await expectRestored(scene)
}

async function failsHalfWay(lab: Lab): Promise<void> {
  const scene = await setScene(lab, ['PostUp = exit 7'])
  const failed = await overlay(scene.left, 'up', scene.left.file)
  expect(failed.code).toBe(1)
  expect(failed.stderr).toContain('exit code 7')
  await expectRestored(scene)
}

async function portTaken(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const code = 'require("dgram").createSocket("udp4").bind(51820,()=>console.log("bound"))'
  const holder = scene.left.host.start(['node', '-e', code])
  await until('the port is taken', () => holder.stdout().includes('bound'))
  const failed = await overlay(scene.left, 'up', scene.left.file)
  expect(failed.code).toBe(1)
  expect(failed.stderr).toContain('51820')
  await expectRestored(scene)
  await holder.stop()
  await scene.left.up()
  await untilOpen(scene)
}

async function alreadyUp(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  await scene.left.up()
  const again = await overlay(scene.left, 'up', scene.left.file, '--json')
  expect(again.code).toBe(1)
  expect(again.stdout + again.stderr).toContain('ALREADY_RUNNING')
  await untilOpen(scene)
  await scene.left.down()
  await expectRestored(scene)
  expect((await overlay(scene.left, 'down', scene.left.file)).code, 'not running').toBe(3)
}

async function foreignInterface(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  await scene.left.host.run(`ip link add ${scene.left.interfaceName} type veth peer name other`)
  expect((await overlay(scene.left, 'up', scene.left.file)).code).toBe(1)
  await overlay(scene.left, 'down', scene.left.file)
  expect(await scene.left.host.run('ip -o link'), 'it is not ours to remove').toContain(
    scene.left.interfaceName,
  )
  await scene.left.host.run(`ip link del ${scene.left.interfaceName}`)
  await expectRestored(scene)
}

async function keepsSecrets(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  await scene.left.up()
  const { privateKey } = scene.left.keys
  const hexKey = Buffer.from(privateKey, 'base64').toString('hex')
  const log = `/var/log/overlay/${scene.left.interfaceName}.log`
  const files = scene.left.host
    .backgroundPids()
    .flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])
  expect(files.length).toBeGreaterThan(0)
  for (const file of [...files, ...(existsSync(log) ? [log] : [])]) {
    const text = readFileSync(file, 'utf8')
    expect(text.includes(privateKey) || text.includes(hexKey), `${file} holds the private key`).toBe(false)
  }
  const modes = await scene.left.host.run(
    `stat -c %a:%n /var/run/wireguard/${scene.left.interfaceName}.sock /run/overlay/${scene.left.interfaceName}.sock`,
  )
  expect(
    modes
      .trimEnd()
      .split('\n')
      .map((line) => line.split(':')[0]),
  ).toEqual(['600', '600'])
  await scene.left.down()
  rmSync(log, { force: true })
}

/** By somebody who flushes what he did not set, and by taking the link down: the kernel takes routes with it. */
async function addressesLost(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { host, interfaceName } = scene.left
  await scene.left.up()
  await untilOpen(scene)
  const up = await systemState(host, interfaceName)
  await host.run(['ip', 'address', 'flush', 'dev', interfaceName])
  await untilOpen(scene)
  await host.run(['ip', 'link', 'set', interfaceName, 'down'])
  await host.run(['ip', 'link', 'set', interfaceName, 'up'])
  await untilOpen(scene)
  await expect.poll(() => systemState(host, interfaceName), { timeout: RESTORE_LIMIT_MS }).toEqual(up)
  await scene.left.down()
  await expectRestored(scene)
}

interface Report {
  readonly interfaces: readonly {
    readonly interface: string
    readonly mode: string
    readonly peers: readonly { readonly state: string; readonly endpoint: string; readonly rxBytes: number }[]
  }[]
}

async function tellsStatus(lab: Lab): Promise<void> {
  const scene = await setScene(lab)
  const { left, right } = scene
  const device = lab.interfaceName()
  await left.up()
  await subject.device(left.host, device)
  await untilOpen(scene)
  const text = await overlay(left, 'status')
  expect(text.stdout).toContain(left.interfaceName)
  expect(text.stdout).toContain(right.keys.publicKey)
  expect(text.stdout).not.toContain(left.keys.privateKey)
  const report = JSON.parse((await overlay(left, 'status', '--json')).stdout) as Report
  const modes = report.interfaces.map((entry) => [entry.interface, entry.mode])
  expect(modes).toEqual(
    expect.arrayContaining([
      [left.interfaceName, 'tunnel'],
      [device, 'device'],
    ]),
  )
  const [peer] = report.interfaces.find((entry) => entry.interface === left.interfaceName)?.peers ?? []
  expect(peer).toMatchObject({ state: 'connected', endpoint: '192.0.2.2:51820' })
  expect(peer?.rxBytes).toBeGreaterThan(0)
}

requirement(`up and down with ${subject.name}`, [...TUNNEL_PROGRAMS, 'nft', 'node'], () => {
  test(
    `${CYCLES} rounds with default routes and hooks leave nothing`,
    () => withLab(manyCycles),
    CYCLES_TIMEOUT_MS,
  )
  const ours = test.skipIf(isStandIn)
  ours('after kill -9, down puts everything back and runs PostDown', () => withLab(killedThenDown))
  ours('after kill -9, the next up works, and its down puts everything back', () => withLab(killedThenUp))
  ours('a signal to the daemon is a clean down', () => withLab(endedBySignal))
  ours('deleting the interface ends the daemon, and everything is put back', () => withLab(interfaceDeleted))
  ours('addresses and routes that others take away come back', () => withLab(addressesLost))
  ours('a hook that fails undoes the whole up', () => withLab(failsHalfWay))
  ours('a port that is taken undoes the whole up, which works once it is free', () => withLab(portTaken))
  ours('up of what is up says so and changes nothing', () => withLab(alreadyUp))
  ours('an interface of that name that is not ours stays', () => withLab(foreignInterface))
  ours('status tells of tunnels and devices, in words and in JSON', () => withLab(tellsStatus))
  ours('no key is in arguments, environment or log, and sockets are for their owner', () =>
    withLab(keepsSecrets),
  )
})
