import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PlatformError, UsageError } from '../../../src/base/errors.js'
import { findTunnel, interfaceNameOf, listTunnelNames } from '../../../src/cli/tunnel-name.js'

let directory = ''
let first = ''
let second = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-names-'))
  first = join(directory, 'first')
  second = join(directory, 'second')
  for (const path of [first, second]) mkdirSync(path)
  writeFileSync(join(first, 'home.conf'), '')
  writeFileSync(join(second, 'home.conf'), '')
  writeFileSync(join(second, 'work.conf'), '')
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

describe('the target of a command', () => {
  it('is a name, looked for in one directory after the other', () => {
    const directories = [first, second]
    expect(findTunnel('home', directories).file).toBe(join(first, 'home.conf'))
    expect(findTunnel('work', directories).file).toBe(join(second, 'work.conf'))
    expect(listTunnelNames(directories)).toEqual(['home', 'work'])
  })

  it('is a file whose name without .conf is the interface', () => {
    const file = join(second, 'work.conf')
    expect(findTunnel(file, [])).toEqual({ interfaceName: 'work', file })
  })

  it('that is nowhere is told with the places looked at', () => {
    expect(() => findTunnel('none', [first, second])).toThrow(
      `looked for ${first}/none.conf and ${second}/none.conf`,
    )
    expect(() => findTunnel(join(first, 'none.conf'))).toThrow('there is no file')
  })

  it('that cannot be looked for is not taken for absent', () => {
    const loop = join(directory, 'loop')
    symlinkSync(loop, loop)
    expect(() => findTunnel('home', [loop, first])).toThrow(PlatformError)
    expect(() => findTunnel(join(loop, 'home.conf'))).toThrow('cannot look for')
  })

  it.each(['wg0', 'a', 'x_=+.-9', 'abcdefghijklmno', './dir/wg0.conf'])('may be %s', (target) => {
    expect(interfaceNameOf(target)).toBe(target === './dir/wg0.conf' ? 'wg0' : target)
  })

  it.each([
    '',
    '.',
    '..',
    'abcdefghijklmnop',
    'a b',
    'wg0;reboot',
    'wg%d',
    'all',
    'default',
    './wg0.txt',
    './.conf',
    'ä',
    '../',
  ])('may not be "%s"', (target) => {
    expect(() => interfaceNameOf(target)).toThrow(UsageError)
  })
})
