import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createLogger } from '../../../src/base/log.js'
import { identityFromSeed } from '../../../src/control/identity.js'
import type { RelayInfo, RelayRtts } from '../../../src/control/messages.js'
import { RelayPool } from '../../../src/daemon/network/relay-pool.js'
import { FRAME_HEADROOM_BYTES } from '../../../src/dataplane/contract.js'
import { createCertificate } from '../../../src/hub/io/certificate.js'
import { FrontDoor } from '../../../src/hub/io/front-door.js'
import { bootNowMs, wallNowMs } from '../../../src/platform/clock.js'
import { RelayServer } from '../../../src/relay/io/relay-server.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { countingBytes } from '../../support/hex.js'
import { until } from '../../support/lab.js'
import { dataMessage, initiation } from '../../support/relay-world.js'

const HOST = '127.0.0.1'
const LIVING = 4

const closers: (() => unknown)[] = []
let relays: RelayInfo[]

/** On a loopback port of the system's choice. */
async function startRelay(number: number, port = 0): Promise<RelayInfo & { stop: () => Promise<void> }> {
  const identity = identityFromSeed(countingBytes(32, number))
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
  const directory = { mayEnter: () => true, mayTalk: () => true }
  const options = {
    key: identity.sessionKey(nodeCrypto),
    crypto: nodeCrypto,
    random,
    directory,
    maxBytesPerS: 1e9,
  }
  const server = new RelayServer(options, bootNowMs)
  const door = await FrontDoor.open({
    host: HOST,
    port,
    certificate: createCertificate('relay'),
    onRelay: (stream, remote) => server.accept(stream, remote),
    onControl: (socket) => socket.close(),
  })
  const stop = async (): Promise<void> => {
    server.stop()
    await door.close()
  }
  closers.push(stop)
  return { key: identity.text, host: HOST, port: door.port, stop }
}

function createPool(
  number: number,
  of: readonly RelayInfo[] = relays,
): { pool: RelayPool; heard: Uint8Array[]; told: RelayRtts[] } {
  const heard: Uint8Array[] = []
  const told: RelayRtts[] = []
  const pool = new RelayPool({
    identity: identityFromSeed(countingBytes(32, number)),
    proxy: undefined,
    isAllowed: () => Promise.resolve(true),
    log: createLogger({ level: 'error', write: () => undefined, wallNowMs }),
    nowMs: bootNowMs,
    onMessages: (_sender, _segmentBytes, messages) => heard.push(new Uint8Array(messages)),
    onObserved: () => undefined,
    onUp: () => undefined,
    onLost: () => undefined,
    onLatencies: (rtts) => told.push(rtts),
  })
  closers.unshift(() => pool.stop())
  pool.configure(of, '')
  return { pool, heard, told }
}

function frameOf(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADROOM_BYTES + bytes.length)
  frame.set(bytes, FRAME_HEADROOM_BYTES)
  return frame
}

beforeAll(async () => {
  const living: RelayInfo[] = []
  for (let i = 0; i < LIVING; i++) living.push(await startRelay(50 + i))
  // Whoever is listed first may be gone: nobody listens on this one's port.
  relays = [{ key: identityFromSeed(countingBytes(32, 99)).text, host: HOST, port: 1 }, ...living]
})
afterAll(async () => {
  for (const close of closers) await close()
})

it('of more relays than links, those that live are connected to, told of, and lead to the peer', async () => {
  const a = createPool(1)
  const b = createPool(2)
  for (const { pool, told } of [a, b]) {
    await until('links to living relays alone', () => {
      const status = pool.status()
      const isFirstIn = status.some(({ key }) => key === relays[1]?.key)
      return status.length >= 3 && isFirstIn && status.every(({ isConnected }) => isConnected)
    })
    expect(pool.status().length).toBeLessThanOrEqual(4)
    await until('they are told of', () => Object.keys(told.at(-1) ?? {}).length >= 3)
    expect(pool.status().filter(({ isHome }) => isHome)).toHaveLength(1)
  }
  const to = {
    identity: identityFromSeed(countingBytes(32, 2)).text,
    relayRtts: b.pool.takeLatencies(),
  }
  expect(a.pool.send(frameOf(initiation(7)), to, 148, true)).toBe(true)
  await until('it has arrived', () => b.heard.length > 0)
  expect(b.heard).toEqual([initiation(7)])
})

it('keeps the newest data while its only relay is away, and delivers it once, when the peer is back too', async () => {
  const only = await startRelay(80)
  const a = createPool(3, [only])
  const b = createPool(4, [only])
  const areIn = (): boolean => [a, b].every(({ pool }) => pool.status()[0]?.isConnected === true)
  await until('both are let in', areIn)
  await only.stop()
  await until('both know that it is gone', () =>
    [a, b].every(({ pool }) => pool.status()[0]?.isConnected === false),
  )
  const to = { identity: identityFromSeed(countingBytes(32, 4)).text, relayRtts: {} }
  expect(a.pool.send(frameOf(dataMessage(1)), to, 64, false)).toBe(false)
  expect(a.pool.send(frameOf(dataMessage(2)), to, 64, false)).toBe(false)
  await startRelay(80, only.port)
  await until('both are let in again', areIn)
  const back = { identity: identityFromSeed(countingBytes(32, 3)).text, relayRtts: {} }
  expect(b.pool.send(frameOf(initiation(3)), back, 148, true)).toBe(true)
  await until('it has arrived', () => b.heard.length > 1)
  expect(b.heard).toEqual([dataMessage(1), dataMessage(2)])
  expect(a.pool.unsent).toBe(0)
})
