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
import { countingBytes } from '../../support/hex.js'
import { until } from '../../support/lab.js'

const HOST = '127.0.0.1'
const LIVING = 4

const closers: (() => unknown)[] = []
let relays: RelayInfo[]

/** On a loopback port of the system's choice. */
async function startRelay(number: number): Promise<RelayInfo> {
  const identity = identityFromSeed(countingBytes(32, number))
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
  const directory = { mayEnter: () => true, mayTalk: () => true }
  const options = { identity, random, directory, maxBytesPerS: 1e9 }
  const server = new RelayServer(options, bootNowMs)
  const door = await FrontDoor.open({
    host: HOST,
    port: 0,
    certificate: createCertificate('relay'),
    onRelay: (stream, remote) => server.accept(stream, remote),
    onControl: (socket) => socket.close(),
  })
  closers.push(
    () => server.stop(),
    async () => await door.close(),
  )
  return { key: identity.text, host: HOST, port: door.port }
}

function createPool(number: number): { pool: RelayPool; heard: string[]; told: RelayRtts[] } {
  const heard: string[] = []
  const told: RelayRtts[] = []
  const pool = new RelayPool({
    identity: identityFromSeed(countingBytes(32, number)),
    proxy: undefined,
    isAllowed: () => Promise.resolve(true),
    log: createLogger({ level: 'error', write: () => undefined, wallNowMs }),
    nowMs: bootNowMs,
    onMessages: (_sender, _segmentBytes, messages) => heard.push(new TextDecoder().decode(messages)),
    onObserved: () => undefined,
    onUp: () => undefined,
    onLatencies: (rtts) => told.push(rtts),
  })
  closers.unshift(() => pool.stop())
  pool.configure(relays, '')
  return { pool, heard, told }
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
  const text = new TextEncoder().encode('hello')
  const frame = new Uint8Array(FRAME_HEADROOM_BYTES + text.length)
  frame.set(text, FRAME_HEADROOM_BYTES)
  const to = {
    identity: identityFromSeed(countingBytes(32, 2)).publicKey,
    relayRtts: b.pool.takeLatencies(),
  }
  expect(a.pool.send(frame, to, text.length, true)).toBe(true)
  await until('it has arrived', () => b.heard.length > 0)
  expect(b.heard).toEqual(['hello'])
})
