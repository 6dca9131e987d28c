/**
 * A host whose tunnel file uses all that `up` can change, and the check that `down` put it back.
 *
 *   left (default routes and all four hooks) ── eth0 ── right (up)
 */

import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { isStandIn, pairs, subject } from './implementations.js'
import { type Lab, until } from './lab.js'
import { systemState } from './system-state.js'
import { layTunnel, type Tunnel } from './tunnel.js'

const EVERYTHING = ['0.0.0.0/0', '::/0']

interface Scene extends Tunnel {
  readonly before: Record<string, string>
  /** What the hooks have written. */
  readonly hookLog: string
}

/** Right is up; left has a file with default routes and all four hooks, and its state on record. */
export async function setScene(lab: Lab, extraLines: readonly string[] = []): Promise<Scene> {
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

export async function expectRestored({ left, before }: Scene): Promise<void> {
  await until('the daemon is gone', () => left.host.daemonPids().length === 0)
  // wg-quick leaves the sysctl of default routes as it set it.
  const sysctl = isStandIn ? { 'sysctl net.ipv4.conf.all.src_valid_mark': expect.any(String) } : {}
  expect(await systemState(left.host, left.interfaceName)).toEqual({ ...before, ...sysctl })
}

export function hookLines(scene: Scene): string[] {
  return readFileSync(scene.hookLog, 'utf8').split('\n').filter(Boolean)
}
