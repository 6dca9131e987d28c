import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../../src/base/log.js'
import { identityFromSeed } from '../../../src/control/identity.js'
import { verifyTunnelKey } from '../../../src/control/tunnel-key.js'
import { KeyFiles } from '../../../src/daemon/network/key-files.js'
import { KeyRotation } from '../../../src/daemon/network/key-rotation.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { formatKeyBase64, type PrivateKey, tryParseKeyBase64 } from '../../../src/wireguard/keys.js'
import { countingBytes } from '../../support/hex.js'
import { type Node, World } from '../../support/world.js'

const DAY_MS = 86_400_000
const LIFETIME_S = 30 * 86_400
const identity = identityFromSeed(countingBytes(32, 7))

let directory: string
let path: string
let node: Node
let world: World
let nowMs: number
let lines: string[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-keys-'))
  path = join(directory, 'wg0.key')
  world = new World(5)
  node = world.addNode('a')
  const { privateKey } = node.snapshot()
  if (privateKey === undefined) throw new Error('no key')
  writeFileSync(path, `${formatKeyBase64(privateKey)}\n`, { mode: 0o600 })
  nowMs = Date.now()
  lines = []
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function inFile(file: string): PrivateKey {
  const key = tryParseKeyBase64<PrivateKey>(readFileSync(file, 'utf8').trim())
  if (key === undefined) throw new Error(`no key in ${file}`)
  return key
}

const publicOf = (privateKey: PrivateKey): string =>
  formatKeyBase64(nodeCrypto.dhPrivateKey(privateKey).publicKey)

/** As a daemon that has just read its files. */
function open(): KeyRotation {
  return new KeyRotation({
    identity,
    staticKey: nodeCrypto.dhPrivateKey(inFile(path)),
    files: new KeyFiles(path),
    fileSinceMs: 0,
    lifetimeS: LIFETIME_S,
    engine: node.engine,
    crypto: nodeCrypto,
    random: world.random,
    wallNowMs: () => nowMs,
    log: createLogger({ level: 'info', write: (line) => lines.push(line), wallNowMs: () => nowMs }),
  })
}

function rotated(): { readonly rotation: KeyRotation; readonly before: string } {
  const before = publicOf(inFile(path))
  nowMs += 30 * DAY_MS + 1
  const rotation = open()
  expect(rotation.check(true)).toBe(true)
  return { rotation, before }
}

describe('the number of a tunnel key', () => {
  it('rises with every change, whatever the clock says, and stays through restarts', () => {
    const first = open()
    const numbers = [first.signed().tunnelKey.number]
    const { rotation } = rotated()
    numbers.push(rotation.signed().tunnelKey.number)
    expect(rotation.signed().previousTunnelKey?.number).toBe(numbers[1])
    // The clock was ahead when the key was made, and is right now; in the meantime the lifetime is over.
    nowMs += 8 * DAY_MS
    rotation.check(true)
    const aheadMs = nowMs + 365 * DAY_MS
    utimesSync(path, aheadMs / 1000, aheadMs / 1000)
    numbers.push(open().signed().tunnelKey.number)
    const files = new KeyFiles(path)
    files.replace(inFile(path), inFile(path), nowMs)
    numbers.push(open().signed().tunnelKey.number)
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
    expect(open().signed().tunnelKey.number).toBe(numbers.at(-1))
  })
})

describe('a tunnel key', () => {
  it('stays until its time has come', () => {
    const rotation = open()
    nowMs += 29 * DAY_MS
    expect(rotation.check(true)).toBe(false)
    nowMs += DAY_MS + 1
    expect(rotation.check(true)).toBe(true)
    expect(rotation.check(true)).toBe(false)
  })

  it('is another one then: on disk for its owner alone, in the device, and signed beside the one of before', () => {
    const { rotation, before } = rotated()
    const current = publicOf(inFile(path))
    expect(current).not.toBe(before)
    expect(publicOf(inFile(`${path}.previous`))).toBe(before)
    for (const file of [path, `${path}.previous`]) expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(formatKeyBase64(node.publicKey)).toBe(current)
    const { tunnelKey, previousTunnelKey } = rotation.signed()
    expect([tunnelKey.key, previousTunnelKey?.key]).toEqual([current, before])
    if (previousTunnelKey === undefined) throw new Error('no previous key')
    expect('key' in verifyTunnelKey(identity.publicKey, previousTunnelKey, nowMs, 'previous')).toBe(true)
    const later = nowMs + 10 * DAY_MS
    expect(verifyTunnelKey(identity.publicKey, previousTunnelKey, later, 'previous')).toEqual({
      fault: 'its tunnel key has expired',
    })
    expect(verifyTunnelKey(identity.publicKey, previousTunnelKey, nowMs)).toEqual({
      fault: 'its tunnel key is not signed by its identity',
    })
    expect(lines.join()).toContain('key.rotated')
    for (const file of [path, `${path}.previous`]) {
      expect(lines.join()).not.toContain(readFileSync(file, 'utf8').trim())
    }
  })

  it('is the only one again after seven days, and its next change comes thirty days after this one', () => {
    const { rotation, before } = rotated()
    utimesSync(path, nowMs / 1000, nowMs / 1000)
    nowMs += 7 * DAY_MS - 1
    expect(rotation.check(true)).toBe(false)
    nowMs += 1
    // Also without the hub.
    expect(rotation.check(false)).toBe(true)
    expect(rotation.signed().previousTunnelKey).toBeUndefined()
    expect(existsSync(`${path}.previous`)).toBe(false)
    expect(publicOf(inFile(path))).not.toBe(before)
    nowMs += 22 * DAY_MS
    expect(rotation.check(true)).toBe(false)
    nowMs += DAY_MS + 1
    expect(rotation.check(true)).toBe(true)
  })

  it.each<[string, () => void, boolean?]>([
    ['the hub does not hear of it', () => undefined, false],
    ['a peer knows it by heart', () => node.learn(world.addNode('b'))],
    ['a tool has set another one', () => node.changeKey()],
    ['somebody has written another one', () => writeFileSync(path, `${'A'.repeat(42)}E=\n`)],
    ['its file is gone', () => rmSync(path)],
  ])('stays where %s', (_, prepare, isConnected = true) => {
    const rotation = open()
    nowMs += 40 * DAY_MS
    prepare()
    if (existsSync(path)) utimesSync(path, 0, 0)
    const before = formatKeyBase64(node.publicKey)
    expect(rotation.check(isConnected)).toBe(false)
    expect(formatKeyBase64(node.publicKey)).toBe(before)
    expect(existsSync(`${path}.previous`)).toBe(false)
    expect(rotation.own.previous).toBeUndefined()
  })

  it('stays where the file cannot be written, and says why', () => {
    const rotation = open()
    nowMs += 40 * DAY_MS
    const before = readFileSync(path, 'utf8')
    // In the way of the draft, for root too.
    rmSync(directory, { recursive: true })
    writeFileSync(directory, '')
    expect(rotation.check(true)).toBe(false)
    rmSync(directory)
    expect(lines.join()).toContain('key.unchanged')
    expect(lines.join()).not.toContain(before.trim())
  })
})

describe('a daemon that runs for long', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
  afterEach(() => vi.useRealTimers())

  it('signs anew every day, and changes the key when it is time', () => {
    const rotation = open()
    const signed: string[] = []
    const onDue = (): unknown => signed.push(rotation.signed().tunnelKey.key)
    rotation.start({ isConnected: () => true, onDue })
    const pass = (days: number): void => {
      for (let hours = 24 * days; hours > 0; hours--) {
        nowMs += DAY_MS / 24
        vi.advanceTimersByTime(DAY_MS / 24)
      }
    }
    pass(29)
    expect(signed).toHaveLength(29)
    expect(new Set(signed).size).toBe(1)
    pass(1)
    expect(signed).toHaveLength(30)
    expect(new Set(signed).size).toBe(2)
    expect(signed.at(-1)).toBe(formatKeyBase64(node.publicKey))
    rotation.stop()
    pass(3)
    expect(signed).toHaveLength(30)
  })
})

describe('after a restart', () => {
  it('the previous key is still answered to, for the rest of its time', () => {
    const { before } = rotated()
    utimesSync(`${path}.previous`, nowMs / 1000, nowMs / 1000)
    const again = open()
    expect(again.signed().previousTunnelKey?.key).toBe(before)
    const b = world.addNode('b')
    again.start({ isConnected: () => false, onDue: () => undefined })
    again.stop()
    expect(again.own.previous).toBeUndefined()
    expect(b.drops()).toEqual({})
    nowMs += 7 * DAY_MS
    const last = open()
    expect([last.own.previous, last.signed().previousTunnelKey]).toEqual([undefined, undefined])
    expect(existsSync(`${path}.previous`)).toBe(false)
  })

  it('in the middle of a change, the node is who it was, and changes its key later', () => {
    writeFileSync(`${path}.previous`, readFileSync(path))
    chmodSync(`${path}.previous`, 0o600)
    writeFileSync(`${path}.tmp`, 'half a k')
    const rotation = open()
    expect(rotation.own.previous).toBeUndefined()
    expect(rotation.signed().tunnelKey.key).toBe(formatKeyBase64(node.publicKey))
    nowMs += 31 * DAY_MS
    expect(rotation.check(true)).toBe(true)
    expect(publicOf(inFile(path))).toBe(formatKeyBase64(node.publicKey))
  })

  it('a previous key that is damaged is no reason not to start', () => {
    writeFileSync(`${path}.previous`, 'nonsense')
    expect(open().own.previous).toBeUndefined()
    expect(lines.join()).toContain('key.previous_unreadable')
    expect(lines.join()).not.toContain('nonsense')
  })
})
