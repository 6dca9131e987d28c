import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createIdentityFile, readIdentityFile } from '../../../../src/daemon/network/identity-file.js'

let directory: string
let path: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-identity-'))
  path = join(directory, 'relay.identity')
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('a file with an identity', () => {
  it('is for its owner alone, and gives the same identity again', () => {
    const { text } = createIdentityFile(path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readIdentityFile(path).text).toBe(text)
    expect(readdirSync(directory)).toEqual(['relay.identity'])
  })

  it('takes the place of no other', () => {
    writeFileSync(path, 'something')
    expect(() => createIdentityFile(path)).toThrow('it is there already')
  })

  it('names the way out of whoever it belongs to', () => {
    writeFileSync(path, '', { mode: 0o600 })
    expect(() => readIdentityFile(path, 'do this')).toThrow(/holds no identity.*do this/s)
  })

  it.skipIf(process.getuid?.() !== 0)('is made whole or not at all, also on a full disk (needs root)', () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=65536', 'none', directory])
    try {
      const { bavail, bsize } = statfsSync(directory)
      writeFileSync(join(directory, 'fill'), Buffer.alloc(bavail * bsize))
      expect(() => createIdentityFile(path)).toThrow('ENOSPC')
      expect(readdirSync(directory)).toEqual(['fill'])
      rmSync(join(directory, 'fill'))
      expect(createIdentityFile(path).text).toBe(readIdentityFile(path).text)
    } finally {
      execFileSync('umount', [directory])
    }
  })
})
