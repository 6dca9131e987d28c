/** What becomes of the sockets of searches. */

import { Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../../../src/base/log.js'
import { Engine } from '../../../../src/daemon/engine.js'
import { PathDriver } from '../../../../src/daemon/network/path-driver.js'
import { createPortableDataPlane } from '../../../../src/dataplane/portable/portable-data-plane.js'
import { PathManager } from '../../../../src/paths/path-manager.js'
import { nobleCrypto } from '../../../../src/wireguard/crypto-noble.js'
import { FakeInnerPort, FakeNetwork } from '../../../support/fake-ports.js'
import { countingBytes } from '../../../support/hex.js'
import { ip } from '../../../support/inner-packets.js'
import { seededRandom } from '../../../support/seeded-random.js'

const MAX_SEARCH_SOCKETS = 768
const { publicKey } = nobleCrypto.dhPrivateKey(countingBytes(32, 2))
const nowMs = (): number => 1000
const createWakeUp = (): { at: () => void } => ({ at: () => undefined })

let driver: PathDriver

function createEngine(): Engine {
  const openOuterPort = new FakeNetwork().machine([ip('192.0.2.1')])
  const plane = { inner: new FakeInnerPort(), openOuterPort, crypto: nobleCrypto, capacity: 1, mtu: 1420 }
  return new Engine({
    createDataPlane: (listener) => createPortableDataPlane({ ...plane, listener, nowMs }),
    createWakeUp,
    capacity: 1,
    crypto: nobleCrypto,
    random: seededRandom(1),
    bootNowMs: nowMs,
    wallNowMs: nowMs,
    log: createLogger({ level: 'error', write: () => undefined, wallNowMs: nowMs }),
  })
}

beforeEach(() => {
  const staticKey = nobleCrypto.dhPrivateKey(countingBytes(32, 1))
  driver = new PathDriver({
    manager: new PathManager({
      crypto: nobleCrypto,
      random: seededRandom(2),
      staticKey,
      mtu: () => 1420,
      isOverlay: () => false,
      wallNowMs: nowMs,
    }),
    engine: createEngine(),
    framePort: 9,
    isOverlay: () => false,
    createWakeUp,
    nowMs,
    onPath: () => undefined,
    onDoubt: () => undefined,
  })
})
afterEach(() => {
  driver.stop()
  vi.restoreAllMocks()
})

/** As a search for each of so many peers asks for them. */
function openFor(peers: number, count: number): void {
  driver.turn((_manager, _nowMs, effects) => {
    for (let peer = 1; peer <= peers; peer++) effects.push({ kind: 'openSockets', count, publicKey, peer })
  })
}

describe('sockets of searches', () => {
  it('are closed when the search is over by the time that they are open', async () => {
    const bind = vi.spyOn(Socket.prototype, 'bind')
    // Of a peer that nobody knows any more.
    openFor(1, 3)
    const sockets = bind.mock.contexts.filter((socket) => socket instanceof Socket)
    expect(sockets).toHaveLength(3)
    await Promise.all(sockets.map(async (socket) => await once(socket, 'close')))
  })

  it('are no more than the bound, though many searches ask before any is open', () => {
    const bind = vi.spyOn(Socket.prototype, 'bind').mockReturnThis()
    openFor(8, 256)
    expect(bind.mock.contexts).toHaveLength(MAX_SEARCH_SOCKETS)
  })
})
