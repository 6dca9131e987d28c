/**
 * Drives a PathManager: one timer, and its effects carried out on the engine. Sockets of a search are this
 * process's own; the one that gets through is handed to the data plane by its port, the others are closed.
 * Paths over TCP are frames for the data plane, as those over a relay.
 */

import { randomBytes } from 'node:crypto'
import type { Endpoint } from '../../net/endpoint.js'
import type { IpAddress } from '../../net/ip.js'
import type { Path, SocketId } from '../../net/path.js'
import type { PathKind } from '../../paths/candidates.js'
import type { IsOverlay } from '../../paths/finder-types.js'
import type { PortChoice } from '../../paths/nat.js'
import { NatSurvey } from '../../paths/nat-survey.js'
import type { PathEffect, PathManager, PeerId } from '../../paths/path-manager.js'
import { type DatagramSocket, openDatagramSocket } from '../../platform/datagram-socket.js'
import type { PublicKey } from '../../wireguard/keys.js'
import { driveSurvey, ownAddresses } from '../drive-survey.js'
import type { Engine, WakeUp } from '../engine.js'
import { LifetimeLearner } from './lifetime-learner.js'
import { measureRoom } from './measure-room.js'
import { TcpLinks } from './tcp-links.js'

/** Of all searches together. */
const MAX_SEARCH_SOCKETS = 768
const ADOPTION_DELAY_MS = 90
const NOWHERE: IpAddress = { family: 6, bytes: new Uint8Array(16) }

export interface PathDriverOptions {
  readonly manager: PathManager
  readonly engine: Engine
  /** Of the engine. */
  readonly framePort: SocketId
  /** For sockets that are not the engine's own: they have no mark. */
  readonly isOverlay: IsOverlay
  readonly createWakeUp: (onWake: () => void) => WakeUp
  readonly nowMs: () => number
  readonly onPath: (publicKey: PublicKey, kind: PathKind) => void
  /** See PathEffect. */
  readonly onDoubt: () => void
}

interface SearchSocket {
  readonly owner: PeerId
  readonly socket: DatagramSocket
}

export class PathDriver {
  readonly #options: PathDriverOptions
  readonly #wakeUp: WakeUp
  readonly #learner: LifetimeLearner
  /** By number; they are negative, so that no socket of the engine has one of them. */
  readonly #search = new Map<number, SearchSocket>()
  /** Those that change hands. */
  readonly #adopting = new Set<number>()
  readonly #tcp: TcpLinks
  #tcpServers: readonly Endpoint[] = []
  #nextNumber = -1
  /** Being opened for searches. */
  #opening = 0
  readonly #stopping = new AbortController()

  constructor(options: PathDriverOptions) {
    this.#options = options
    this.#learner = new LifetimeLearner(options.manager)
    this.#wakeUp = options.createWakeUp(() => {
      this.turn((manager, nowMs, effects) => manager.handleTimeout(nowMs, effects))
    })
    const { engine, framePort, isOverlay } = options
    this.#tcp = new TcpLinks({
      isOverlay,
      onMessages: (number, segmentBytes, messages) =>
        engine.deliver(framePort, streamEndpoint(number), messages, segmentBytes),
      onReady: (publicKey, own) =>
        this.turn((manager, nowMs, effects) => manager.handleTcpReady(publicKey, own, nowMs, effects)),
      onDialled: (publicKey, number) =>
        this.turn((manager, nowMs, effects) =>
          manager.handleStream(publicKey, this.#streamPath(number), nowMs, effects),
        ),
      onClosed: (publicKey, number) =>
        this.turn((manager, nowMs, effects) =>
          manager.handleStreamClosed(publicKey, this.#streamPath(number), nowMs, effects),
        ),
    })
  }

  get tcp(): Pick<TcpLinks, 'send' | 'remoteOf' | 'counters'> {
    return this.#tcp
  }

  /** They answer STUN over TCP. */
  setTcpServers(servers: readonly Endpoint[]): void {
    this.#tcpServers = servers
  }

  /** `port`: of the data sockets; 0 if there are none. Gives whether TCP connections are taken there. */
  async listenTcp(port: number): Promise<boolean> {
    const takesTcp = await this.#tcp.listen(port)
    if (this.#isStopped) return false
    this.turn((manager, nowMs, effects) => manager.setTcpPort(takesTcp ? port : 0, nowMs, effects))
    return takesTcp
  }

  /** Routes or tunnels of this machine are others: what leads into an overlay now is left. */
  handleRoutesChanged(): void {
    this.#tcp.closeOverlays()
    this.turn((manager, nowMs, effects) => manager.handleRoutesChanged(nowMs, effects))
  }

  turn<T>(input: (manager: PathManager, nowMs: number, effects: PathEffect[]) => T): T {
    const { manager, nowMs } = this.#options
    const effects: PathEffect[] = []
    const result = input(manager, nowMs(), effects)
    for (const effect of effects) this.#carryOut(effect)
    this.#learner.check(nowMs())
    const survey = this.#isStopped ? undefined : manager.takePortSurvey()
    if (!this.#isStopped) this.#wakeUp.at(manager.nextDeadlineMs(nowMs()))
    if (survey !== undefined) void this.#surveyPorts(survey)
    return result
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted
  }

  stop(): void {
    this.#stopping.abort()
    this.#learner.stop()
    this.#wakeUp.at(Number.POSITIVE_INFINITY)
    this.#tcp.stop()
    for (const number of [...this.#search.keys()]) this.#close(number)
  }

  #carryOut(effect: PathEffect): void {
    const { engine, onPath, onDoubt } = this.#options
    switch (effect.kind) {
      case 'send':
        if (effect.path.socket >= 0) engine.sendProbe(effect.path, effect.bytes, effect.hops)
        else if (!this.#options.isOverlay(effect.path.remote.address)) {
          this.#search.get(effect.path.socket)?.socket.send(effect.path.remote, effect.bytes, effect.hops)
        }
        break
      case 'usePath':
        this.#learner.handlePath(effect.pathKind, effect.path.remote.address)
        engine.setPeerPath(effect.publicKey, effect.path)
        onPath(effect.publicKey, effect.pathKind)
        break
      case 'takeData':
        engine.deliver(effect.from.socket, effect.from.remote, effect.bytes, 0)
        break
      case 'doubtServers':
        onDoubt()
        break
      case 'restarted':
        engine.handlePeerRestarted(effect.publicKey)
        break
      case 'useHandshakePaths':
        engine.setHandshakePaths(effect.publicKey, effect)
        break
      case 'sendKeepalive':
        engine.sendKeepalive(effect.publicKey)
        break
      case 'measureRoom':
        void this.#measureRoom(effect.servers)
        break
      case 'openSockets':
        void this.#open(effect.publicKey, effect.peer, effect.count)
        break
      case 'keepSocket':
        void this.#adopt(effect.publicKey, effect.socket)
        break
      case 'closeSockets': {
        for (const [number, entry] of this.#search) {
          if (entry.owner === effect.peer && !this.#adopting.has(number)) this.#close(number)
        }
        break
      }
      case 'releaseSocket':
        engine.closePathSocket(effect.socket)
        break
      case 'prepareTcp':
        void this.#tcp.prepare(effect, this.#tcpServers)
        break
      case 'dialTcp':
        this.#tcp.dial(effect, effect.endpoints)
        break
      case 'endTcp':
        this.#tcp.end(effect.peer)
        break
      case 'keepStream':
        this.#tcp.keep(effect.publicKey, effect.path.remote.port)
        break
      case 'closeStream':
        this.#tcp.close(effect.path.remote.port)
        break
    }
  }

  #streamPath(number: number): Path {
    return { socket: this.#options.framePort, remote: streamEndpoint(number), local: undefined }
  }

  /** The NAT knows the socket by its port: the data plane takes that over. */
  async #adopt(publicKey: PublicKey, number: number): Promise<void> {
    const entry = this.#search.get(number)
    if (entry === undefined || this.#adopting.has(number)) return
    this.#adopting.add(number)
    // The peer's own challenge follows its answer at once: it must not fall into the gap.
    await new Promise((resolve) => setTimeout(resolve, ADOPTION_DELAY_MS))
    this.#adopting.delete(number)
    this.#search.delete(number)
    await entry.socket.close()
    if (this.#isStopped) return
    const socket = this.#options.engine.tryOpenPathSocket(4, entry.socket.port)
    const isUsed = this.turn((manager, nowMs, effects) =>
      manager.handleAdopted(publicKey, number, socket, nowMs, effects),
    )
    if (socket !== undefined && !isUsed) this.#options.engine.closePathSocket(socket)
  }

  async #open(publicKey: PublicKey, owner: PeerId, count: number): Promise<void> {
    const room = Math.max(0, Math.min(count, MAX_SEARCH_SOCKETS - this.#search.size - this.#opening))
    this.#opening += room
    const numbers = Array.from({ length: room }, () => this.#nextNumber--)
    await Promise.all(
      numbers.map(async (number) => {
        const socket = await openDatagramSocket(4, (remote, bytes) => {
          if (!this.#search.has(number)) return
          const path: Path = { socket: number, remote, local: undefined }
          this.turn((manager, nowMs, effects) => {
            manager.handleSearchDatagram(publicKey, path, bytes, nowMs, effects)
          })
        })
        if (socket !== undefined) this.#search.set(number, { owner, socket })
      }),
    )
    this.#opening -= room
    const open = numbers.filter((number) => this.#search.has(number))
    const isWanted =
      !this.#isStopped &&
      this.turn((manager, nowMs, effects) => manager.handleSockets(publicKey, open, nowMs, effects))
    // The search is over, or the peer gone: nobody would close them.
    if (!isWanted) for (const number of open) this.#close(number)
  }

  #close(number: number): void {
    const entry = this.#search.get(number)
    this.#search.delete(number)
    void entry?.socket.close()
  }

  async #measureRoom(servers: readonly Endpoint[]): Promise<void> {
    const room = await measureRoom(servers, this.#stopping.signal)
    if (this.#isStopped) return
    this.turn((manager, nowMs, effects) => manager.handleRoom(room, nowMs, effects))
  }

  async #surveyPorts({
    seenAs,
    servers,
  }: NonNullable<ReturnType<PathManager['takePortSurvey']>>): Promise<void> {
    const choice = await surveyPorts(servers, this.#options.manager.own.isStunDropped)
    if (this.#isStopped) return
    this.turn((manager, nowMs, effects) => manager.setPortChoice(seenAs, choice, nowMs, effects))
  }
}

/** A path over TCP is told by the number of its connection alone. */
function streamEndpoint(number: number): Endpoint {
  return { address: NOWHERE, port: number, scopeId: 0 }
}

async function surveyPorts(servers: readonly Endpoint[], isVeiled: boolean): Promise<PortChoice | undefined> {
  const survey = new NatSurvey({
    servers,
    ownAddresses: ownAddresses(),
    random: (length) => new Uint8Array(randomBytes(length)),
  })
  await driveSurvey(survey, 4, { isVeiled })
  return survey.report().ports
}
