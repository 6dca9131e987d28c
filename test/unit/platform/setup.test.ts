import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

let checkout = ''

const soonS = Date.now() / 1000 + 3600

/** Runs setup in a checkout that has sources but nothing built, with no program in reach but fakes. */
function run(args: string[], env: NodeJS.ProcessEnv = {}): { code: number | null; text: string } {
  const result = spawnSync(process.execPath, [join(checkout, 'bin/setup.mjs'), ...args], {
    encoding: 'utf8',
    env: { PATH: join(checkout, 'fakes'), ...env },
  })
  return { code: result.status, text: result.stdout + result.stderr }
}

const setup = (...args: string[]) => run(args)
const setupInCi = (...args: string[]) => run(args, { CI: '1' })

function start() {
  return spawn(process.execPath, [join(checkout, 'bin/setup.mjs'), 'addon'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: join(checkout, 'fakes') },
  })
}

const BUILT = () => join(checkout, 'build/Release/overlay.node')
const PRODUCTS = ['overlay.node', 'overlay-guard']

/** The addon and the guard of this checkout, newer than every source. */
function installBuilt(): void {
  mkdirSync(join(checkout, 'build/Release'), { recursive: true })
  for (const name of PRODUCTS) {
    const copy = join(checkout, 'build/Release', name)
    cpSync(join(ROOT, 'build/Release', name), copy)
    utimesSync(copy, soonS, soonS)
  }
}

/** What the fakes were asked to do, in order. */
function log(): string[] {
  return readFileSync(join(checkout, 'log'), 'utf8').split('\n').slice(0, -1)
}

/**
 * A node-gyp that gives the addon of this checkout, once the file `waitsFor` is there, and a system to
 * install programs on, where the apt-get command `fails` does.
 */
function installFakeTools(options: { waitsFor?: string; fails?: string } = {}): void {
  writeFileSync(join(checkout, 'log'), '')
  const write = (path: string, text: string) => {
    mkdirSync(join(checkout, path, '..'), { recursive: true })
    writeFileSync(join(checkout, path), text, { mode: 0o755 })
  }
  write('node_modules/node-addon-api/index.js', '')
  write(
    'node_modules/node-gyp/bin/node-gyp.js',
    `const { appendFileSync, cpSync, existsSync } = require('node:fs')
    const awaited = ${JSON.stringify(options.waitsFor ?? 'log')}
    appendFileSync('log', 'node-gyp ' + process.argv[2] + '\\n')
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let i = 0; i < 2000 && !existsSync(awaited); i++) Atomics.wait(pause, 0, 0, 5)
    for (const name of ${JSON.stringify(PRODUCTS)}) {
      cpSync(${JSON.stringify(join(ROOT, 'build/Release'))} + '/' + name, 'build/Release/' + name)
    }
    appendFileSync('log', 'end\\n')`,
  )
  for (const program of ['g++', 'make', 'python3']) write(`fakes/${program}`, '')
  write(
    'fakes/apt-get',
    `#!/bin/sh\nprintf '%s\\n' "apt-get $*" >> log\ncase "$*" in *${options.fails ?? 'nothing'}*) exit 100;; esac\n`,
  )
  write(
    'fakes/debconf-set-selections',
    `#!/bin/sh\nread -r line\nprintf '%s\\n' "debconf-set-selections $line" >> log\n`,
  )
}

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'overlay-setup-'))
  const files = [
    'bin/setup.mjs',
    'bin/build-tools.mjs',
    'binding.gyp',
    'package.json',
    'native/core/result.h',
  ]
  for (const file of files) {
    cpSync(join(ROOT, file), join(checkout, file))
  }
  mkdirSync(join(checkout, 'native/binding'))
})

afterEach(() => {
  rmSync(checkout, { recursive: true })
})

describe('bin/setup.mjs', () => {
  it('names the tasks it knows', () => {
    expect(setup('nonsense')).toEqual({
      code: 1,
      text: 'overlay: unknown task nonsense; use none, addon or test\n',
    })
  })

  it('says what to type when packages are missing', () => {
    expect(setup('addon')).toEqual({ code: 1, text: 'overlay: packages are not installed; type: npm ci\n' })
  })

  it('says what to install when there is no compiler, make or Python', () => {
    symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
    expect(setup('addon')).toEqual({
      code: 1,
      text: 'overlay: overlay needs a C++ compiler and make and Python 3 to build its addon; type: sudo apt-get install -y build-essential python3\n',
    })
  })

  it('does nothing while the build is newer than every source and loads', () => {
    installBuilt()
    expect(setup('addon')).toEqual({ code: 0, text: '' })
    utimesSync(join(checkout, 'native/core/result.h'), soonS + 1, soonS + 1)
    expect(setup('addon').code).toBe(1)
  })

  it('builds what is missing', () => {
    installBuilt()
    rmSync(join(checkout, 'build/Release/overlay-guard'))
    installFakeTools()
    expect(setup('addon').code).toBe(0)
    expect(log()).toEqual(['node-gyp configure', 'end'])
    expect(setup('addon')).toEqual({ code: 0, text: '' })
  })

  it('builds anew what was built for another machine', () => {
    installBuilt()
    writeFileSync(BUILT(), 'of another machine')
    utimesSync(BUILT(), soonS, soonS)
    installFakeTools()
    expect(setup('addon').text).toContain('building the addon\n')
    expect(log()).toEqual(['node-gyp rebuild', 'end'])
  })

  it('builds nothing where an installed package brought what loads, and builds where it does not', () => {
    const prebuilt = join(checkout, 'prebuilds', `${process.platform}-${process.arch}`)
    mkdirSync(prebuilt, { recursive: true })
    for (const name of PRODUCTS) cpSync(join(ROOT, 'build/Release', name), join(prebuilt, name))
    expect(setup('addon')).toEqual({ code: 0, text: '' })
    writeFileSync(join(prebuilt, 'overlay.node'), 'of another system')
    installFakeTools()
    mkdirSync(join(checkout, 'build/Release'), { recursive: true })
    expect(setup('addon').text).toContain('building the addon\n')
  })

  it('builds by hand, in an installed package, with what npm has with it', () => {
    installFakeTools()
    mkdirSync(join(checkout, 'build/Release'), { recursive: true })
    mkdirSync(join(checkout, 'npm/bin'), { recursive: true })
    mkdirSync(join(checkout, 'npm/node_modules'))
    renameSync(join(checkout, 'node_modules/node-gyp'), join(checkout, 'npm/node_modules/node-gyp'))
    expect(setup('addon')).toEqual({
      code: 1,
      text: 'overlay: the addon is built with npm, which is not in PATH\n',
    })
    writeFileSync(join(checkout, 'npm/bin/npm-cli.js'), '#!/bin/sh\n', { mode: 0o755 })
    symlinkSync('../npm/bin/npm-cli.js', join(checkout, 'fakes/npm'))
    expect(setup('addon').text).toContain('building the addon\n')
    expect(log()).toEqual(['node-gyp configure', 'end'])
  })

  it('builds in a checkout whatever a package would bring', () => {
    const prebuilt = join(checkout, 'prebuilds', `${process.platform}-${process.arch}`)
    mkdirSync(prebuilt, { recursive: true })
    for (const name of PRODUCTS) cpSync(join(ROOT, 'build/Release', name), join(prebuilt, name))
    mkdirSync(join(checkout, 'src'))
    installFakeTools()
    mkdirSync(join(checkout, 'build/Release'), { recursive: true })
    expect(setup('addon').text).toContain('building the addon\n')
  })

  it('lets a second run wait for the first and then has nothing to do', async () => {
    installFakeTools({ waitsFor: 'second' })
    const runs = [start(), start()]
    const told = runs.map(({ stderr }) => once(stderr, 'data'))
    await Promise.all(told)
    writeFileSync(join(checkout, 'second'), '')
    const codes = await Promise.all(runs.map(async (run) => (await once(run, 'exit'))[0]))
    expect({ codes, log: log() }).toEqual({ codes: [0, 0], log: ['node-gyp configure', 'end'] })
  })

  it.skipIf(process.getuid?.() !== 0)(
    'installs what tests need in CI, even if a package source is dead',
    () => {
      installBuilt()
      installFakeTools({ fails: 'update' })
      for (const file of ['node_modules/.package-lock.json', 'dist/index.js']) {
        mkdirSync(join(checkout, file, '..'), { recursive: true })
        writeFileSync(join(checkout, file), '')
      }
      expect(setup('test')).toMatchObject({ code: 0 })
      expect(log()).toEqual([])
      expect(setupInCi('test')).toMatchObject({ code: 0 })
      const [update, answers, install, ...rest] = log()
      const options = 'apt-get -o DPkg::Lock::Timeout=300 -qq'
      expect(update).toBe(`${options} update`)
      expect(answers).toBe(
        'debconf-set-selections wireshark-common wireshark-common/install-setuid boolean false',
      )
      expect(
        install?.startsWith(`${options} install -y --no-install-recommends wireguard-go wireguard-tools`),
      ).toBe(true)
      expect(install?.split(' ')).toContain('iperf3')
      expect(rest).toEqual([])
    },
  )
})
