import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HubKeyring } from '../../../src/daemon/hub-keyring.js'
import { formatHubKeys, rotateHubKeys, tryParseHubKeys } from '../../../src/daemon/hub-keys.js'
import { type HubPaths, hubPaths, writeHubKey, writeHubState } from '../../../src/daemon/hub-state.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { formatKeyBase64 } from '../../../src/wireguard/keys.js'
import { countingBytes } from '../../support/hex.js'

const SETTINGS = { address: 'hub.example.org', port: 443, stunPort: 3478, stunAddresses: [], relays: [] }

let paths: HubPaths
let nowMs = 1_000_000
const open = (): HubKeyring => new HubKeyring(paths, nodeCrypto, () => nowMs)
const keysOf = (ring: HubKeyring): string[] =>
  ring.sessionKeys().map(({ publicKey }) => formatKeyBase64(publicKey))

beforeEach(() => {
  nowMs = 1_000_000
  paths = hubPaths(join(mkdtempSync(join(tmpdir(), 'keyring-')), 'hub'))
  writeHubState(paths, SETTINGS)
  writeHubKey(paths)
})

afterEach(() => rmSync(join(paths.directory, '..'), { recursive: true }))

describe('the keys of a hub', () => {
  it('are changed on disk first, for their owner alone, and are the same after a restart', () => {
    const ring = open()
    const before = keysOf(ring)
    ring.rotate(60)
    expect(keysOf(ring)).toHaveLength(2)
    expect(keysOf(ring)[1]).toBe(before[0])
    expect(ring.signing().change).toEqual({ type: 'hubKey', key: keysOf(ring)[0], untilS: 1060 })
    expect(statSync(paths.key).mode & 0o777).toBe(0o600)
    const later = open()
    expect(keysOf(later)).toEqual(keysOf(ring))
    expect(later.signing().identity.text).toBe(ring.signing().identity.text)
  })

  it('count no longer after the overlap, also before the old ones are forgotten', () => {
    const ring = open()
    const [old] = keysOf(ring)
    ring.rotate(60)
    expect(ring.tryRetire()).toBe(false)
    nowMs += 60_000
    expect(keysOf(ring)).not.toContain(old)
    expect(ring.signing().change).toBeUndefined()
    const text = readFileSync(paths.key, 'utf8')
    expect(ring.tryRetire()).toBe(true)
    expect(ring.tryRetire()).toBe(false)
    expect(readFileSync(paths.key, 'utf8')).not.toBe(text)
    expect(readFileSync(paths.key, 'utf8')).not.toContain('previous')
    expect(open().signing().succession).toBeDefined()
  })

  it('are not changed twice at once', () => {
    const ring = open()
    ring.rotate(60)
    const keys = keysOf(ring)
    expect(() => ring.rotate(60)).toThrow('already')
    expect(keysOf(ring)).toEqual(keys)
  })

  it('stay where they cannot be written', () => {
    const ring = open()
    const keys = keysOf(ring)
    mkdirSync(join(`${paths.key}.tmp`, 'in the way'), { recursive: true })
    expect(() => ring.rotate(60)).toThrow()
    expect(keysOf(ring)).toEqual(keys)
    expect(keysOf(open())).toEqual(keys)
  })

  it('stand in a file that is refused if it is damaged', () => {
    const keys = rotateHubKeys(nodeCrypto, { seed: countingBytes(32) }, countingBytes(32, 9), 77)
    const text = formatHubKeys(keys)
    expect(tryParseHubKeys(text)).toEqual(keys)
    const lines = text.trim().split('\n')
    for (const damaged of ['', 'x', `${lines[0]}\nother AAAA`, text.replace(' 77', ''), text.slice(0, -20)]) {
      expect(tryParseHubKeys(damaged)).toBeUndefined()
    }
  })
})
