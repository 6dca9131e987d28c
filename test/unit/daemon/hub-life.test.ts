/** The life of a hub's process with a node connected: it ends in order, outlives its store, and comes back. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatBase64 } from '../../../src/base/bytes.js'
import { createLogger } from '../../../src/base/log.js'
import { callApi } from '../../../src/cli/api-client.js'
import { identityFromSeed } from '../../../src/control/identity.js'
import type { HubMessage } from '../../../src/control/messages.js'
import { signTunnelKey } from '../../../src/control/tunnel-key.js'
import { initHub } from '../../../src/daemon/hub-init.js'
import { hubStatus, tokenAnswer } from '../../../src/daemon/hub-schema.js'
import { type HubPaths, hubPaths, readHubSecrets } from '../../../src/daemon/hub-state.js'
import { HubLink } from '../../../src/daemon/network/hub-link.js'
import { loadSqlite } from '../../../src/hub/io/sqlite-driver.js'
import { openSqliteStore } from '../../../src/hub/io/sqlite-store.js'
import { bootNowMs, wallNowMs } from '../../../src/platform/clock.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { prefixOf } from '../../support/control.js'
import { countingBytes } from '../../support/hex.js'
import { until } from '../../support/lab.js'
import { seededRandom } from '../../support/seeded-random.js'

const PROGRAM = fileURLToPath(new URL('../../../bin/overlay', import.meta.url))
const SECRET = countingBytes(16, 9)
const ORDER = { name: '', tags: [], uses: 1, expiresS: 60, isEphemeral: false }

const root = mkdtempSync(join(tmpdir(), 'overlay-life-'))
let hubs = 0
afterAll(() => rmSync(root, { recursive: true, force: true }))

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

let paths: HubPaths
let port = 0
let hub: ChildProcess | undefined
let output = ''
let link: HubLink | undefined
let heard: HubMessage[] = []

async function start(): Promise<void> {
  output = ''
  const child = spawn(process.execPath, [PROGRAM, 'hub', '--state', paths.directory, 'start'])
  hub = child
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  await until('the hub to run', () => Promise.resolve(output.includes('runs; make a token')))
}

/** Gives the exit code, or the signal. */
async function end(signal: NodeJS.Signals): Promise<unknown> {
  const child = hub
  if (child === undefined) return undefined
  hub = undefined
  const exited = once(child, 'close')
  child.kill(signal)
  const [code, by] = await exited
  return code ?? by
}

function connect(): void {
  const identity = identityFromSeed(countingBytes(32, 70))
  const { publicKey } = nodeCrypto.dhPrivateKey(countingBytes(32, 90))
  const nowS = Math.floor(wallNowMs() / 1000)
  const terms = { number: 1, notBefore: nowS - 60, notAfter: nowS + 86_400 }
  heard = []
  link = new HubLink({
    hub: { host: '127.0.0.1', port },
    hubKeys: () => [readHubSecrets(paths, nodeCrypto).session.publicKey],
    identity,
    proxy: undefined,
    crypto: nodeCrypto,
    random: seededRandom(3),
    nowMs: bootNowMs,
    log: createLogger({ level: 'error', write: () => undefined, wallNowMs }),
    hello: () => ({
      tunnelKey: signTunnelKey(identity, publicKey, terms),
      localPrefixes: [],
      secret: formatBase64(SECRET),
      name: 'alice',
    }),
    onMessage: (message) => heard.push(message),
    onState: () => undefined,
  })
  link.start()
}

async function untilWelcome(times: number): Promise<void> {
  await until('a welcome', () =>
    Promise.resolve(heard.filter(({ type }) => type === 'welcome').length >= times),
  )
}

const ask = { socket: '', timeoutMs: 5000 }
const statusOf = async () =>
  await callApi({ ...ask, socket: paths.socket, method: 'GET', path: '/v1/hub', answer: hubStatus })
const createToken = async () =>
  await callApi({
    ...ask,
    socket: paths.socket,
    method: 'POST',
    path: '/v1/tokens',
    body: ORDER,
    answer: tokenAnswer,
  })

beforeEach(async () => {
  hubs += 1
  paths = hubPaths(join(root, `${hubs}`))
  port = await freePort()
  const settings = { address: '127.0.0.1', port, stunPort: port, stunAddresses: ['127.0.0.1'], relays: [] }
  const policy = { needsApproval: false, needsConsent: false }
  await initHub(paths, settings, { name: 'home', range: prefixOf('100.70.0.0/16'), ...policy })
  const store = await openSqliteStore(paths.store)
  store.putToken({
    hash: formatBase64(nodeCrypto.hash(SECRET)),
    nodeName: '',
    tags: [],
    usesLeft: 1,
    expiresAtMs: wallNowMs() + 3_600_000,
    isEphemeral: false,
  })
  store.close()
})

afterEach(async () => {
  link?.stop()
  await end('SIGKILL')
})

describe('a hub with a node connected', () => {
  it('ends in order, and has written when the node was seen', async () => {
    await start()
    connect()
    await untilWelcome(1)
    const beforeMs = wallNowMs()
    expect(await end('SIGTERM')).toBe(0)
    expect(output).not.toMatch(/Error| at /)
    const store = await openSqliteStore(paths.store)
    expect(store.nodes()[0]?.lastSeenMs).toBeGreaterThanOrEqual(beforeMs)
    store.close()
  })

  it('goes on while another program holds its store, says so, and needs no restart', async () => {
    await start()
    connect()
    await untilWelcome(1)
    const other = (await loadSqlite())(paths.store)
    other.exec('BEGIN IMMEDIATE')
    link?.stop()
    await until('the node to be gone', async () => (await statusOf()).online === 0)
    await expect(createToken()).rejects.toMatchObject({ code: 'STORE_FAILED' })
    expect((await statusOf()).store).toMatchObject({ failure: expect.stringContaining('locked'), unsaved: 1 })
    connect()
    await untilWelcome(1)
    other.exec('ROLLBACK')
    other.close()
    await until('the store to work again', async () => {
      const made = await createToken().catch(() => undefined)
      return made !== undefined
    })
    expect((await statusOf()).store.failure).toBeUndefined()
    expect(await end('SIGTERM')).toBe(0)
  })

  it('says at its start that the store takes nothing', async () => {
    const other = (await loadSqlite())(paths.store)
    other.exec('BEGIN IMMEDIATE')
    await start()
    expect((await statusOf()).store).toMatchObject({ failure: expect.stringContaining('locked') })
    other.exec('ROLLBACK')
    other.close()
    expect(await end('SIGTERM')).toBe(0)
  })

  it('has it back by itself after a kill', async () => {
    await start()
    connect()
    await untilWelcome(1)
    expect(await end('SIGKILL')).toBe('SIGKILL')
    await start()
    await untilWelcome(2)
    expect(await end('SIGTERM')).toBe(0)
  })
})
