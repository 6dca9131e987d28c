import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

let checkout = ''

/** Runs setup in a checkout that has sources but nothing built, with no program in reach. */
function setup(...args: string[]): { code: number | null; text: string } {
  const result = spawnSync(process.execPath, [join(checkout, 'bin/setup.mjs'), ...args], {
    encoding: 'utf8',
    env: { PATH: '/nonexistent' },
  })
  return { code: result.status, text: result.stdout + result.stderr }
}

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'overlay-setup-'))
  for (const file of ['bin/setup.mjs', 'binding.gyp', 'package.json', 'native/core/result.h']) {
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

  it('does nothing while the build is newer than every source, and builds once one is newer', () => {
    const built = join(checkout, 'build/Release/overlay.node')
    mkdirSync(join(checkout, 'build/Release'), { recursive: true })
    writeFileSync(built, '')
    const soonS = Date.now() / 1000 + 60
    utimesSync(built, soonS, soonS)
    expect(setup('addon')).toEqual({ code: 0, text: '' })
    utimesSync(join(checkout, 'native/core/result.h'), soonS + 1, soonS + 1)
    expect(setup('addon').code).toBe(1)
  })
})
