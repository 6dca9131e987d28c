/** Several nodes behind simulated NATs, a relay that carries calls, and servers: who has a direct path to whom. */

import type { Endpoint } from '../../src/net/endpoint.js'
import { formatIp } from '../../src/net/ip.js'
import type { Path } from '../../src/net/path.js'
import type { PeerActivity } from '../../src/paths/finder-types.js'
import { type PathEffect, PathManager } from '../../src/paths/path-manager.js'
import { nobleCrypto } from '../../src/wireguard/crypto-noble.js'
import { prefixOf } from './control.js'
import { countingBytes } from './hex.js'
import { type NodeOptions, RTT_MS } from './path-world.js'
import { seededRandom } from './seeded-random.js'
import { endpoint, SimulatedNat, SimulatedStunServer } from './simulated-nat.js'

const STUN = endpoint('198.51.100.1', 3478)
const OTHER_STUN = endpoint('198.51.100.2', 3479)
const RELAY_SOCKET = 9
const MAIN_SOCKET = 1

interface MeshNode {
  readonly number: number
  readonly options: NodeOptions
  readonly manager: PathManager
  readonly key: ReturnType<typeof nobleCrypto.dhPrivateKey>
  readonly nat: SimulatedNat | undefined
  readonly outsideAddress: string
  readonly inside: Endpoint
  readonly activity: { -readonly [K in keyof PeerActivity]: PeerActivity[K] }
  /** By number; whose search each serves. */
  readonly sockets: Map<number, { readonly port: number; readonly peer: MeshNode }>
  nextSocket: number
}

export class MeshWorld {
  nowMs = 10_000
  /** At most so many at once: as a driver has it. */
  readonly maxSearchSockets = 768
  readonly nodes: readonly MeshNode[]
  readonly #queue: { readonly atMs: number; readonly deliver: () => void }[] = []
  readonly #stun = new SimulatedStunServer(STUN, OTHER_STUN)

  constructor(kinds: readonly NodeOptions[]) {
    this.nodes = kinds.map((options, i) => this.#create(i + 1, options))
    for (const node of this.nodes) {
      const prefix = prefixOf(
        node.nat === undefined ? `${node.outsideAddress}/32` : `192.168.${node.number}.2/24`,
      )
      this.#turn(node, (effects) => {
        node.manager.setSockets(
          { v4: MAIN_SOCKET, v6: undefined, port: node.inside.port },
          this.nowMs,
          effects,
        )
        node.manager.setAddresses([prefix], this.nowMs, effects)
        node.manager.setServers([STUN, OTHER_STUN], this.nowMs, effects)
        for (const peer of this.nodes) {
          if (peer === node) continue
          const { publicKey } = peer.key
          const added = {
            identity: `${peer.number}`,
            publicKey,
            relayPath: relayPathTo(peer),
            activity: () => node.activity,
          }
          node.manager.addPeer(added, this.nowMs, effects)
        }
      })
    }
    this.run(1000)
  }

  /** Everybody sends to everybody for so long; ms until all that could be were direct, or undefined. */
  untilAllDirect(limitMs: number): number | undefined {
    const startMs = this.nowMs
    for (const node of this.nodes) {
      node.activity.lastDataSendMs = this.nowMs
      this.#turn(node, (effects) => {
        for (const peer of this.nodes) {
          if (peer !== node) node.manager.handleWanted(peer.key.publicKey, this.nowMs, effects)
        }
      })
    }
    while (this.nowMs - startMs < limitMs) {
      for (const { activity } of this.nodes) {
        activity.lastSendMs = this.nowMs
        activity.lastDataSendMs = this.nowMs
        activity.lastReceiveMs = this.nowMs
      }
      this.run(20)
      if (this.relayed().length === 0) return this.nowMs - startMs
    }
    return undefined
  }

  /** Pairs, as "1 2", of which one side at least has no direct path. */
  relayed(): string[] {
    return this.nodes.flatMap((node) =>
      this.nodes
        .filter((peer) => peer !== node && node.manager.status(peer.key.publicKey)?.kind === 'relay')
        .map((peer) => `${node.number} ${peer.number}`),
    )
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms
    while (this.nowMs < endMs) {
      this.#queue.sort((x, y) => x.atMs - y.atMs)
      const deadlines = this.nodes.map(({ manager }) => manager.nextDeadlineMs(this.nowMs))
      this.nowMs = Math.max(this.nowMs, Math.min(endMs, this.#queue[0]?.atMs ?? endMs, ...deadlines))
      while ((this.#queue[0]?.atMs ?? Number.POSITIVE_INFINITY) <= this.nowMs) this.#queue.shift()?.deliver()
      for (const node of this.nodes) {
        if (node.manager.nextDeadlineMs(this.nowMs) > this.nowMs) continue
        this.#turn(node, (effects) => node.manager.handleTimeout(this.nowMs, effects))
      }
    }
  }

  #create(number: number, options: NodeOptions): MeshNode {
    const key = nobleCrypto.dhPrivateKey(countingBytes(32, number * 11))
    const outsideAddress = `203.0.113.${number}`
    const inside = endpoint(
      options.nat === undefined ? outsideAddress : `192.168.${number}.2`,
      40_000 + number,
    )
    return {
      number,
      options,
      key,
      outsideAddress,
      inside,
      manager: new PathManager({
        crypto: nobleCrypto,
        random: seededRandom(number),
        staticKey: key,
        mtu: () => 1420,
        wallNowMs: () => this.nowMs,
        isOverlay: () => false,
      }),
      nat: options.nat && new SimulatedNat({ ...options.nat, address: outsideAddress }, () => this.nowMs),
      activity: {
        lastSendMs: 0,
        lastDataSendMs: 0,
        firstUnansweredSendMs: 0,
        lastReceiveMs: 0,
        lastDataReceiveMs: 0,
        keypairMs: 1,
        initiationMs: 0,
        responsePath: undefined,
      },
      sockets: new Map(),
      nextSocket: -1,
    }
  }

  #turn(node: MeshNode, input: (effects: PathEffect[]) => void): void {
    const effects: PathEffect[] = []
    input(effects)
    for (const effect of effects) this.#carryOut(node, effect)
    const survey = node.manager.takePortSurvey()
    if (survey === undefined) return
    this.#at(2 * RTT_MS, () =>
      this.#turn(node, (list) =>
        node.manager.setPortChoice(survey.seenAs, node.options.ports, this.nowMs, list),
      ),
    )
  }

  #carryOut(node: MeshNode, effect: PathEffect): void {
    switch (effect.kind) {
      case 'send':
        if (effect.path.socket === RELAY_SOCKET) this.#relay(node, effect.path, effect.bytes)
        else if (effect.hops !== undefined)
          node.nat?.outbound(this.#local(node, effect.path), effect.path.remote)
        else this.#send(node, effect.path, effect.bytes)
        break
      case 'measureRoom':
        this.#at(RTT_MS, () =>
          this.#turn(node, (list) => node.manager.handleRoom(Number.POSITIVE_INFINITY, this.nowMs, list)),
        )
        break
      case 'openSockets':
        this.#open(node, effect.publicKey, effect.count)
        break
      case 'closeSockets':
        this.#at(0, () => {
          const peer = this.#nodeOf(effect.publicKey)
          for (const [number, socket] of node.sockets) {
            if (socket.peer === peer && !this.#isUsed(node, number)) node.sockets.delete(number)
          }
        })
        break
      default:
        break
    }
  }

  #isUsed(node: MeshNode, socket: number): boolean {
    return this.nodes.some(
      (peer) => peer !== node && node.manager.status(peer.key.publicKey)?.path.socket === socket,
    )
  }

  #open(node: MeshNode, publicKey: Uint8Array, count: number): void {
    const peer = this.#nodeOf(publicKey)
    const room = Math.max(0, Math.min(count, this.maxSearchSockets - node.sockets.size))
    const numbers = Array.from({ length: room }, () => {
      const number = node.nextSocket--
      node.sockets.set(number, { port: 50_000 - (number % 15_000), peer })
      return number
    })
    this.#at(2, () =>
      this.#turn(node, (list) => node.manager.handleSockets(peer.key.publicKey, numbers, this.nowMs, list)),
    )
  }

  #nodeOf(publicKey: Uint8Array): MeshNode {
    const found = this.nodes.find(({ key }) => key.publicKey.every((byte, i) => byte === publicKey[i]))
    if (found === undefined) throw new Error('no such node')
    return found
  }

  #relay(node: MeshNode, path: Path, bytes: Uint8Array): void {
    const peer = this.nodes.find(
      (other) => formatIp(relayPathTo(other).remote.address) === formatIp(path.remote.address),
    )
    if (peer === undefined) return
    this.#at(RTT_MS, () =>
      this.#turn(peer, (list) => peer.manager.handleProbe(relayPathTo(node), bytes, this.nowMs, list)),
    )
  }

  #local(node: MeshNode, { socket }: Path): Endpoint {
    const port = node.sockets.get(socket)?.port
    return port === undefined ? node.inside : { ...node.inside, port }
  }

  #send(node: MeshNode, path: Path, bytes: Uint8Array): void {
    const inside = this.#local(node, path)
    const outside = node.nat?.outbound(inside, path.remote) ?? inside
    this.#at(RTT_MS / 2, () => {
      const answer = this.#stun.answer(outside, path.remote, bytes)
      if (answer !== undefined) {
        this.#at(RTT_MS / 2, () => this.#arrive(node, outside, answer.from, answer.bytes))
        return
      }
      const peer = this.nodes.find(({ outsideAddress }) => outsideAddress === formatIp(path.remote.address))
      if (peer !== undefined) this.#arrive(peer, path.remote, outside, bytes)
    })
  }

  #arrive(node: MeshNode, to: Endpoint, from: Endpoint, bytes: Uint8Array): void {
    const local = node.nat === undefined ? to : node.nat.inbound(to, from)
    if (local === undefined) return
    const [number = MAIN_SOCKET, search] = [...node.sockets].find(([, { port }]) => port === local.port) ?? []
    const path: Path = { socket: number, remote: from, local: undefined }
    this.#turn(node, (list) => {
      if (search === undefined) node.manager.handleProbe(path, bytes, this.nowMs, list)
      else node.manager.handleSearchDatagram(search.peer.key.publicKey, path, bytes, this.nowMs, list)
    })
  }

  #at(delayMs: number, deliver: () => void): void {
    this.#queue.push({ atMs: this.nowMs + delayMs, deliver })
  }
}

function relayPathTo({ number }: MeshNode): Path {
  return { socket: RELAY_SOCKET, remote: endpoint(`192.0.2.${number}`, 1), local: undefined }
}
