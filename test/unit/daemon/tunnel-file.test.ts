import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError, PlatformError } from '../../../src/base/errors.js'
import { findExposedFiles, loadTunnelFrom, parseTunnelFile } from '../../../src/daemon/tunnel-file.js'
import { formatKeyBase64 } from '../../../src/wireguard/keys.js'

const KEY = '8GboYh0YF3q/hJhoPFoL3HM/ObgOuC8YI6UXWsgWL2M='
let directory = ''
let file = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-file-'))
  file = join(directory, 'wg7.conf')
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

function write(path: string, text: string, mode = 0o600): void {
  writeFileSync(path, text)
  chmodSync(path, mode)
}

describe('a tunnel file', () => {
  it('of the examples is fine', () => {
    const example = fileURLToPath(new URL('../../../configs/example.conf', import.meta.url))
    expect(parseTunnelFile(example)).toMatchObject({ warnings: [], config: { peers: [{ name: 'laptop' }] } })
  })

  it('needs a private key', () => {
    write(file, '[Interface]\nAddress = 10.0.0.1/24\n')
    expect(() => parseTunnelFile(file)).toThrow(ConfigError)
  })

  it('needs none if a hook may set it', () => {
    write(file, '[Interface]\nPostUp = wg set %i private-key /etc/key\n')
    expect(parseTunnelFile(file).config.interface.privateKey).toBeUndefined()
  })

  it('may name a file with the key, looked for beside it', () => {
    write(file, '[Interface]\nPrivateKeyFile = private.key\n')
    write(join(directory, 'private.key'), `${KEY}\n`)
    const load = loadTunnelFrom(file)
    const { privateKey } = load.withPrivateKey(load.parse()).interface
    expect(privateKey === undefined ? '' : formatKeyBase64(privateKey)).toBe(KEY)
  })

  it('that is not there is told by its path', () => {
    expect(() => parseTunnelFile(file)).toThrow(PlatformError)
    expect(() => parseTunnelFile(file)).toThrow(`cannot read ${file}: ENOENT`)
  })

  it('that never ends or never begins is refused at once', () => {
    symlinkSync('/dev/zero', file)
    expect(() => parseTunnelFile(file)).toThrow('no regular file')
    rmSync(file)
    execFileSync('mkfifo', [file])
    expect(() => parseTunnelFile(file)).toThrow('no regular file')
    expect(() => parseTunnelFile(directory)).toThrow('no regular file')
  })

  it('whose key file is missing says how to make one', () => {
    write(file, '[Interface]\nPrivateKeyFile = private.key\n')
    const load = loadTunnelFrom(file)
    const keyFile = join(directory, 'private.key')
    expect(() => load.withPrivateKey(load.parse())).toThrow(
      expect.objectContaining({ errno: 'ENOENT', hint: expect.stringContaining(`genkey > ${keyFile}`) }),
    )
  })
})

describe('a file with a secret that others may read', () => {
  it('is told with the command that closes it', () => {
    write(file, `[Interface]\nPrivateKey = ${KEY}\n`, 0o640)
    expect(findExposedFiles(file, parseTunnelFile(file).config)).toEqual([
      `${file} holds a secret and others may read it; type: chmod 600 ${file}`,
    ])
    chmodSync(file, 0o600)
    expect(findExposedFiles(file, parseTunnelFile(file).config)).toEqual([])
  })

  it('may be the key file alone', () => {
    const keyFile = join(directory, 'private.key')
    write(file, '[Interface]\nPrivateKeyFile = private.key\n', 0o644)
    write(keyFile, KEY, 0o644)
    const exposed = findExposedFiles(file, parseTunnelFile(file).config)
    expect(exposed).toHaveLength(1)
    expect(exposed[0]).toContain(`chmod 600 ${keyFile}`)
  })
})
