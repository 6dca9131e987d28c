/** The packed program, installed by npm where there is no compiler, on this machine and on arm64. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { overlayWith, TUNNEL_PROGRAMS } from '../support/implementations.js'
import { withLab } from '../support/lab.js'
import { ARM64_NODE, EMULATOR, foregroundProgram, InstalledPackage, mustRun } from '../support/packed.js'
import { requirement } from '../support/requirement.js'
import { layTunnel, openTunnel, untilOpen } from '../support/tunnel.js'

const PROGRAMS = [...TUNNEL_PROGRAMS, ...EMULATOR.slice(0, 1), 'aarch64-linux-gnu-g++', 'npm']
const KERNELS = 'console.log(JSON.stringify(require(process.argv[1]).aeadKernels()))'

requirement('the packed program', PROGRAMS, () => {
  const installed = new InstalledPackage()
  const bare = ['env', `PATH=${installed.bareEnv.PATH}`]
  const emulated = [...EMULATOR, ARM64_NODE]

  beforeAll(() => installed.install(), 400_000)
  afterAll(() => installed.remove())

  it('has nothing that was built on this machine, and no SQLite', () => {
    expect(readdirSync(installed.root).sort()).toEqual(
      [
        'LICENSE',
        'README.md',
        'bin',
        'binding.gyp',
        'configs',
        'dist',
        'man',
        'native',
        'node_modules',
      ].concat(['package.json', 'prebuilds']),
    )
    expect(existsSync(join(installed.root, 'node_modules/better-sqlite3'))).toBe(false)
  })

  it('makes keys', async () => {
    const { stdout } = await mustRun([...bare, installed.command, 'genkey'])
    expect(stdout).toMatch(/^[\w+/]{43}=\n$/)
  })

  it('carries a tunnel in the background', async () => {
    await withLab(async (lab) => {
      const tunnel = layTunnel(lab, [foregroundProgram('unused', []), overlayWith('checkout', {})])
      const { left, right } = tunnel
      await right.up()
      await left.host.run([...bare, installed.command, 'up', left.file])
      await untilOpen(tunnel)
      await left.host.run([...bare, installed.command, 'down', left.file])
    })
  })

  it('knows the answer of every AEAD kernel on arm64', async () => {
    const addon = join(installed.root, 'prebuilds/linux-arm64/overlay.node')
    const { stdout } = await mustRun([...emulated, '-e', KERNELS, addon])
    // The others are for x64. Only those are named that gave the known answer.
    expect(JSON.parse(stdout)).toEqual(['openssl', 'scalar'])
  })

  it.each(['openssl', 'scalar'])('carries a tunnel on arm64, by %s', async (kernel) => {
    const program = join(installed.root, 'bin/overlay')
    const arm64 = foregroundProgram('arm64', ['env', `OVERLAY_AEAD=${kernel}`, ...emulated, program])
    await withLab(async (lab) => {
      await untilOpen(await openTunnel(lab, [overlayWith('x64', {}), arm64]))
    })
  })

  it('has a guard for arm64 that starts', async () => {
    const guard = join(installed.root, 'prebuilds/linux-arm64/overlay-guard')
    // Without arguments it says how it is meant.
    await expect(mustRun([...EMULATOR, guard])).rejects.toThrow('started by overlay itself')
  })
})
