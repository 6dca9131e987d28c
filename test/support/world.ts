/**
 * Whole devices in one process on a virtual clock: engines over portable data planes, joined by wires
 * with latency, with a tap that sees every datagram. Time jumps from one event to the next; nothing
 * sleeps. Same seed, same run.
 *
 *   node.send(packet) → data plane → wire(latency, `onWire` decides) → data plane → other.received
 */

import { createLogger } from '../../src/base/log.js'
import { Engine } from '../../src/daemon/engine.js'
import { createPortableDataPlane } from '../../src/dataplane/portable/portable-data-plane.js'
import { type Endpoint, formatEndpoint } from '../../src/net/endpoint.js'
import { formatIp, type IpAddress, tryParseIp } from '../../src/net/ip.js'
import { IPV4_HEADER_BYTES } from '../../src/net/packet.js'
import type { Prefix } from '../../src/net/prefix.js'
import type { DeviceSnapshot, PeerUpdate } from '../../src/wireguard/configuration.js'
import { KEEPALIVE_BYTES } from '../../src/wireguard/constants.js'
import type { RandomBytes } from '../../src/wireguard/crypto.js'
import { nodeCrypto } from '../../src/wireguard/crypto-node.js'
import {
  formatKeyBase64,
  keyFromBytes,
  type PresharedKey,
  type PrivateKey,
  type PublicKey,
} from '../../src/wireguard/keys.js'
import { messageTypeOf } from '../../src/wireguard/messages.js'
import { type FakeDatagram, FakeInnerPort, FakeNetwork } from './fake-ports.js'
import { seededRandom } from './seeded-random.js'

const LATENCY_MS = 10
const LISTEN_PORT = 51820
const WALL_START_MS = Date.UTC(2030, 0, 1)
const BOOT_START_MS = 1_000_000
const CAPACITY = 8
const MTU = 1420

export interface Sighting {
  readonly atMs: number
  readonly from: string
  readonly to: string
  readonly type: 'initiation' | 'response' | 'cookie' | 'keepalive' | 'data' | 'other'
  readonly datagram: FakeDatagram
}

/** What becomes of a datagram: how long each copy of it travels. No copy means lost. */
export type WireRule = (sighting: Sighting) => readonly number[]

interface ScheduledEvent {
  readonly atMs: number
  /** Events of the same time happen in the order they were asked for. */
  readonly order: number
  readonly run: () => void
}

const TYPE_NAMES = ['other', 'initiation', 'response', 'cookie', 'data'] as const

export class World {
  nowMs: number = BOOT_START_MS
  wallOffsetMs: number = WALL_START_MS - BOOT_START_MS
  onWire: WireRule = () => [LATENCY_MS]
  readonly tap: Sighting[] = []
  readonly random: RandomBytes
  readonly network: FakeNetwork = new FakeNetwork()
  readonly #nodes: Node[] = []
  readonly #events: ScheduledEvent[] = []
  #order = 0

  constructor(seed = 1) {
    this.random = seededRandom(seed)
    this.network.onSend = (datagram) => this.#carry(datagram)
  }

  addNode(name: string): Node {
    const node = new Node(this, name, this.#nodes.length + 1)
    this.#nodes.push(node)
    return node
  }

  /** Two nodes that know each other's key, endpoint and address. */
  pair(extra: Partial<PeerUpdate> = {}): readonly [Node, Node] {
    const a = this.addNode('a')
    const b = this.addNode('b')
    a.learn(b, extra)
    b.learn(a, extra)
    return [a, b]
  }

  presharedKey(byte: number): PresharedKey {
    return keyFromBytes<PresharedKey>(new Uint8Array(32).fill(byte))
  }

  at(atMs: number, run: () => void): void {
    this.#order += 1
    this.#events.push({ atMs, order: this.#order, run })
  }

  /** Lets `ms` pass. */
  run(ms: number): void {
    const endMs = this.nowMs + ms
    for (let next = this.#takeNext(endMs); next !== undefined; next = this.#takeNext(endMs)) {
      this.nowMs = Math.max(this.nowMs, next.atMs)
      next.run()
    }
    this.nowMs = endMs
  }

  /** The machines sleep: time passes on all clocks, and nothing happens until they are awake. */
  sleep(ms: number): void {
    this.nowMs += ms
  }

  /** A datagram as it would arrive from the wire, now. */
  deliver(datagram: FakeDatagram): void {
    const node = this.#nodes.find((each) => each.visible === formatIp(datagram.to.address))
    if (node === undefined) return
    this.network.deliver({ ...datagram, to: { ...datagram.to, address: node.address } })
  }

  /** How many messages of each type the tap has seen. */
  counts(): Record<Sighting['type'], number> {
    const counts = { initiation: 0, response: 0, cookie: 0, keepalive: 0, data: 0, other: 0 }
    for (const { type } of this.tap) counts[type] += 1
    return counts
  }

  of(type: Sighting['type'], from?: string): Sighting[] {
    return this.tap.filter((seen) => seen.type === type && (from === undefined || seen.from === from))
  }

  #carry(sent: FakeDatagram): void {
    const sender = this.#nodes.find((node) => formatIp(node.address) === formatIp(sent.from.address))
    const seenAs = tryParseIp(sender?.visible ?? '') ?? sent.from.address
    const datagram = { ...sent, from: { ...sent.from, address: seenAs } }
    const target = this.#nodes.find((node) => node.visible === formatIp(datagram.to.address))
    const named: Sighting['type'] = TYPE_NAMES[messageTypeOf(datagram.bytes)] ?? 'other'
    const type = named === 'data' && datagram.bytes.length === KEEPALIVE_BYTES ? 'keepalive' : named
    const sighting: Sighting = {
      atMs: this.nowMs,
      from: sender?.name ?? '',
      to: target?.name ?? '',
      type,
      datagram,
    }
    this.tap.push(sighting)
    for (const latencyMs of this.onWire(sighting)) {
      this.at(this.nowMs + latencyMs, () => this.deliver(datagram))
    }
  }

  #takeNext(endMs: number): ScheduledEvent | undefined {
    let earliest: ScheduledEvent | undefined
    for (const event of this.#events) {
      const isEarlier =
        earliest === undefined ||
        event.atMs < earliest.atMs ||
        (event.atMs === earliest.atMs && event.order < earliest.order)
      if (isEarlier && event.atMs <= endMs) earliest = event
    }
    if (earliest !== undefined) this.#events.splice(this.#events.indexOf(earliest), 1)
    return earliest
  }
}

/** One machine with one device. Its inner address is 10.0.0.n, its outer one 192.0.2.n. */
export class Node {
  readonly name: string
  readonly engine: Engine
  readonly address: IpAddress
  readonly innerPrefix: Prefix
  readonly failing: { publicKey: PublicKey; attempts: number }[] = []
  /** The outer address that others see. */
  visible: string
  openPorts = 0
  readonly #world: World
  readonly #inner = new FakeInnerPort()
  readonly #received: Uint8Array[] = []

  constructor(world: World, name: string, number: number) {
    this.#world = world
    this.name = name
    this.address = ip(`192.0.2.${number}`)
    this.visible = formatIp(this.address)
    this.innerPrefix = { address: ip(`10.0.0.${number}`), bits: 32 }
    this.engine = this.#createEngine()
    this.changeKey()
    this.engine.configure({ listenPort: LISTEN_PORT, peers: [] })
    this.engine.up()
  }

  get publicKey(): PublicKey {
    const { publicKey } = this.snapshot()
    if (publicKey === undefined) throw new Error(`${this.name} has no key`)
    return publicKey
  }

  /** Inner packets delivered to this node. */
  get received(): readonly Uint8Array[] {
    this.#received.push(...this.#inner.takeWritten())
    return this.#received
  }

  get texts(): string[] {
    return this.received.map((packet) => new TextDecoder().decode(packet.subarray(IPV4_HEADER_BYTES)))
  }

  snapshot(): DeviceSnapshot {
    return this.engine.snapshot()
  }

  drops(): Readonly<Record<string, number>> {
    return this.engine.drops()
  }

  state(peer: Node): string | undefined {
    return this.#peerSnapshot(peer)?.state
  }

  endpointOf(peer: Node): string | undefined {
    const endpoint = this.#peerSnapshot(peer)?.endpoint
    return endpoint && formatEndpoint(endpoint)
  }

  /** Everything that a rejected message must leave as it was. */
  picture(): unknown {
    return this.snapshot().peers.map((peer) => ({
      ...peer,
      endpoint: peer.endpoint && formatEndpoint(peer.endpoint),
    }))
  }

  changeKey(): void {
    const privateKey = keyFromBytes<PrivateKey>(this.#world.random(32))
    this.engine.configure({ privateKey, peers: [] })
  }

  learn(peer: Node, extra: Partial<PeerUpdate> = {}, options = { withEndpoint: true }): void {
    const endpoint: Endpoint = { address: ip(peer.visible), port: LISTEN_PORT, scopeId: 0 }
    this.engine.configure({
      peers: [
        {
          publicKey: peer.publicKey,
          ...(options.withEndpoint ? { endpoint } : {}),
          allowedIps: [{ prefix: peer.innerPrefix }],
          ...extra,
        },
      ],
    })
  }

  /** A key of nobody, reached where `peer` is. */
  learnKey(bytes: Uint8Array, peer: Node): void {
    this.learn(peer, { publicKey: keyFromBytes<PublicKey>(bytes) })
  }

  send(peer: Node, text: string): void {
    this.#inner.inject(ipv4Packet(this.innerPrefix.address, peer.innerPrefix.address, text))
  }

  moveTo(visible: string): void {
    this.visible = visible
  }

  /** A datagram to this node. */
  from(address: string, bytes: Uint8Array): FakeDatagram {
    const to = { address: ip(this.visible), port: LISTEN_PORT, scopeId: 0 }
    return { from: { address: ip(address), port: LISTEN_PORT, scopeId: 0 }, to, tos: 0, bytes }
  }

  #peerSnapshot(peer: Node): DeviceSnapshot['peers'][number] | undefined {
    const key = formatKeyBase64(peer.publicKey)
    return this.snapshot().peers.find(({ publicKey }) => formatKeyBase64(publicKey) === key)
  }

  #createEngine(): Engine {
    const world = this.#world
    const openPort = world.network.machine([this.address])
    return new Engine({
      createDataPlane: (listener) =>
        createPortableDataPlane({
          inner: this.#inner,
          openOuterPort: (options) => {
            const port = openPort(options)
            this.openPorts += 1
            const close = port.close.bind(port)
            port.close = () => {
              this.openPorts -= 1
              close()
            }
            return port
          },
          crypto: nodeCrypto,
          capacity: CAPACITY,
          nowMs: () => world.nowMs,
          mtu: MTU,
          listener,
        }),
      createWakeUp: (onWake) => {
        let armed = 0
        return {
          at: (deadlineMs) => {
            armed += 1
            const mine = armed
            if (deadlineMs === Number.POSITIVE_INFINITY) return
            world.at(Math.max(deadlineMs, world.nowMs), () => (mine === armed ? onWake() : undefined))
          },
        }
      },
      capacity: CAPACITY,
      crypto: nodeCrypto,
      random: world.random,
      bootNowMs: () => world.nowMs,
      wallNowMs: () => world.nowMs + world.wallOffsetMs,
      log: createLogger({ level: 'error', write: () => undefined, wallNowMs: () => world.nowMs }),
      onHandshakeFailing: (publicKey, attempts) => this.failing.push({ publicKey, attempts }),
    })
  }
}

function ip(text: string): IpAddress {
  const address = tryParseIp(text)
  if (address === undefined) throw new Error(`no address: ${text}`)
  return address
}

/** A packet with a text behind the bare header; nobody here looks at the header's checksum. */
function ipv4Packet(source: IpAddress, destination: IpAddress, text: string): Uint8Array {
  const payload = new TextEncoder().encode(text)
  const packet = new Uint8Array(IPV4_HEADER_BYTES + payload.length)
  packet[0] = 0x45
  packet[3] = packet.length
  packet.set(source.bytes, 12)
  packet.set(destination.bytes, 16)
  packet.set(payload, IPV4_HEADER_BYTES)
  return packet
}

/** One packet each way every `everyMs` for `forMs`. */
export function converse(world: World, [a, b]: readonly [Node, Node], forMs: number, everyMs = 1000): void {
  for (let passedMs = 0; passedMs < forMs; passedMs += everyMs) {
    a.send(b, `a${passedMs}`)
    b.send(a, `b${passedMs}`)
    world.run(everyMs)
  }
}
