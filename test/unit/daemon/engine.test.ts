/** What the engine promises of changes, of late reports, and of its one timer. */

import { beforeEach, describe, expect, test } from 'vitest'
import { PlatformError } from '../../../src/base/errors.js'
import { createLogger } from '../../../src/base/log.js'
import { Engine } from '../../../src/daemon/engine.js'
import type { DataPlane, DataPlaneEvent } from '../../../src/dataplane/contract.js'
import { createPortableDataPlane } from '../../../src/dataplane/portable/portable-data-plane.js'
import { tryParsePrefix } from '../../../src/net/prefix.js'
import type { PeerUpdate } from '../../../src/wireguard/configuration.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { keyFromBytes, type PrivateKey, type PublicKey } from '../../../src/wireguard/keys.js'
import { prefixOf } from '../../support/control.js'
import {
  type FakeDatagram,
  FakeInnerPort,
  FakeNetwork,
  type FakeOuterPort,
} from '../../support/fake-ports.js'
import { expectDefined } from '../../support/handshake-pair.js'
import { innerPacket, ip } from '../../support/inner-packets.js'
import { seededRandom } from '../../support/seeded-random.js'

const CAPACITY = 4
const START_MS = 1_000_000
const REFUSED = new PlatformError('setsockopt refused', { errno: 'EPERM', syscall: 'setsockopt' })

function key(byte: number): PublicKey {
  return keyFromBytes<PublicKey>(new Uint8Array(32).fill(byte))
}

function peerUpdate(byte: number, extra: Partial<PeerUpdate> = {}): PeerUpdate {
  return { publicKey: key(byte), allowedIps: [], ...extra }
}

describe('the engine', () => {
  let engine: Engine
  let plane: DataPlane
  let report: (...events: DataPlaneEvent[]) => void
  let ports: FakeOuterPort[]
  let inner: FakeInnerPort
  let sent: FakeDatagram[]
  let wakeAtMs: number
  /** How often allowed IPs were changed, and how many of them last. */
  let tables: number
  let changed: number
  const nowMs = START_MS

  beforeEach(() => {
    const network = new FakeNetwork()
    ports = []
    sent = []
    tables = 0
    changed = 0
    inner = new FakeInnerPort()
    network.onSend = (datagram) => sent.push(datagram)
    const openOuterPort = network.machine([ip('192.0.2.1')], (port) => ports.push(port))
    engine = new Engine({
      createDataPlane: (listener) => {
        report = (...events) => listener(events)
        plane = createPortableDataPlane({
          ...{ inner, openOuterPort, crypto: nodeCrypto, capacity: CAPACITY, mtu: 1420, listener },
          nowMs: () => nowMs,
        })
        const changeAllowedIps = plane.changeAllowedIps.bind(plane)
        plane.changeAllowedIps = (changes) => {
          tables += 1
          changed = changes.length
          changeAllowedIps(changes)
        }
        return plane
      },
      createWakeUp: () => {
        return {
          at: (deadlineMs) => {
            wakeAtMs = deadlineMs
          },
        }
      },
      capacity: CAPACITY,
      crypto: nodeCrypto,
      random: seededRandom(1),
      bootNowMs: () => nowMs,
      wallNowMs: () => nowMs,
      log: createLogger({ level: 'error', write: () => undefined, wallNowMs: () => nowMs }),
    })
    engine.configure({ privateKey: keyFromBytes<PrivateKey>(seededRandom(2)(32)), peers: [] })
    engine.configure({ listenPort: 51820, peers: [] })
    engine.up()
  })

  function keys(): number[] {
    return engine.snapshot().peers.map(({ publicKey }) => publicKey[0] ?? 0)
  }

  describe('counts who is there after an update', () => {
    beforeEach(() => engine.configure({ peers: [1, 2, 3, 4].map((byte) => peerUpdate(byte)) }))

    test('and refuses one too many, changing nothing', () => {
      expect(() => engine.configure({ fwmark: 7, peers: [peerUpdate(5)] })).toThrow(/cannot hold 5 peers/)
      expect(keys()).toEqual([1, 2, 3, 4])
      expect(engine.snapshot().fwmark).toBe(0)
    })

    test('so that one may take the place of another', () => {
      engine.configure({ peers: [peerUpdate(1, { remove: true }), peerUpdate(5)] })
      expect(keys()).toEqual([2, 3, 4, 5])
      engine.configure({ replacePeers: true, peers: [6, 7, 8, 9].map((byte) => peerUpdate(byte)) })
      expect(keys()).toEqual([6, 7, 8, 9])
    })

    test('not those that are changed only if they are there', () => {
      engine.configure({ peers: [peerUpdate(5, { updateOnly: true })] })
      expect(keys()).toEqual([1, 2, 3, 4])
    })

    test('in the order in which they come', () => {
      const tooMany = { peers: [peerUpdate(5), peerUpdate(1, { remove: true })] }
      expect(() => engine.configure(tooMany)).toThrow(/cannot hold 5 peers/)
    })
  })

  test('keeps sockets, port and mark when the system refuses a new mark', () => {
    const refusing = (): void => {
      throw REFUSED
    }
    for (const port of ports) port.setMark = refusing
    expect(() => engine.configure({ listenPort: 51821, fwmark: 7, peers: [] })).toThrow(REFUSED)
    expect(engine.snapshot()).toMatchObject({ listenPort: 51820, fwmark: 0 })
    engine.configure({ peers: [peerUpdate(1, reachable())] })
    inner.inject(innerPacket('10.9.0.1', '10.0.1.1'))
    expect(sent.map(({ from }) => from.port)).toEqual([51820])
  })

  test('gives a new port and a new mark to all sockets at once, and closes the old ones', () => {
    const closed: FakeOuterPort[] = []
    const old = [...ports]
    for (const port of old) port.close = () => closed.push(port)
    engine.configure({ listenPort: 51821, fwmark: 7, peers: [] })
    expect(engine.snapshot()).toMatchObject({ listenPort: 51821, fwmark: 7 })
    expect(ports.slice(-1).map(({ port, mark }) => [port, mark])).toEqual([[51821, 7]])
    expect(closed).toEqual(old)
  })

  test('sets the table of allowed IPs only when it has changed', () => {
    const update = peerUpdate(1, reachable())
    engine.configure({ peers: [update] })
    expect(tables).toBe(1)
    engine.configure({ peers: [update, peerUpdate(2)] })
    expect(tables).toBe(1)
    engine.configure({ peers: [peerUpdate(1, { remove: true }), peerUpdate(2, { remove: true })] })
    expect(tables).toBe(2)
  })

  test('hands the data plane what changed of the allowed IPs, not all there are', () => {
    const prefixes = (from: number, count: number): PeerUpdate['allowedIps'] =>
      Array.from({ length: count }, (_, i) => ({ prefix: prefixOf(`10.${from}.${i}.0/24`) }))
    engine.configure({ peers: [peerUpdate(1, { allowedIps: prefixes(1, 200) })] })
    expect(changed).toBe(200)
    engine.configure({ peers: [peerUpdate(2, { allowedIps: prefixes(2, 1) })] })
    expect(changed).toBe(1)
    engine.configure({ peers: [peerUpdate(2, { allowedIps: prefixes(1, 3) })] })
    expect(changed, 'they move').toBe(3)
    engine.configure({ peers: [peerUpdate(1, { remove: true })] })
    expect(changed, 'and are not taken back with their first peer').toBe(197)
  })

  test('acts on no late report about a keypair that is gone, whoever has its slot now', () => {
    engine.configure({ peers: [peerUpdate(1, reachable())] })
    inner.inject(innerPacket('10.9.0.1', '10.0.1.1'))
    const before = engine.snapshot()
    const deadlineMs = wakeAtMs
    const remote = { address: ip('203.0.113.9'), port: 9, scopeId: 0 }
    const path = { socket: 1, remote, local: undefined }
    report(
      { kind: 'sourceChanged', slot: 0, localIndex: 77, path },
      { kind: 'keypairConfirmed', slot: 0, localIndex: 77, removed: [] },
    )
    expect(engine.snapshot()).toEqual(before)
    expect(engine.snapshot().peers[0]?.state).toBe('handshaking')
    expect(wakeAtMs).toBe(deadlineMs)
  })

  function reachable(byte = 1): Partial<PeerUpdate> {
    return {
      endpoint: { address: ip('192.0.2.2'), port: 51820, scopeId: 0 },
      allowedIps: [{ prefix: expectDefined(tryParsePrefix(`10.0.${byte}.0/24`)) }],
    }
  }
})
