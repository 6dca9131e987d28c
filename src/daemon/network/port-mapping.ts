/**
 * Has the router on the way to the world map the data port, by UDP and by TCP, through whatever protocol it
 * speaks; it is asked again whenever that is another router. How the protocols share the work is told in
 * src/paths/upnp-mapper.ts.
 */

import { randomBytes } from 'node:crypto'
import { formatIp, type IpAddress } from '../../net/ip.js'
import { type MappedProtocol, PortMapper } from '../../paths/port-mapper.js'
import type { RouterRequest } from '../../paths/upnp.js'
import { UpnpMapper, type UpnpOutput } from '../../paths/upnp-mapper.js'
import { type DatagramSocket, openDatagramSocket } from '../../platform/datagram-socket.js'
import { routeTo } from '../../platform/network.js'
import type { WakeUp } from '../engine.js'
import { askRouter } from './router-http.js'

/** On no network (RFC 5737): it takes the way that everything takes. */
const ANYWHERE: IpAddress = { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) }
/** Networks that let nothing else out let TCP out to it. */
const SUGGESTED_TCP_PORT = 443
const HTTP_PATIENCE_MS = 2000

export interface PortMappingOptions {
  /** This node's own, the same at every start: see PortMapper. */
  readonly nonceOf: (protocol: MappedProtocol) => Uint8Array
  readonly nowMs: () => number
  readonly createWakeUp: (onWake: () => void) => WakeUp
  /** External port of the data socket, or undefined if there is none any more. */
  readonly onMapped: (port: number | undefined) => void
  /** The router's own external address, or undefined. */
  readonly onRouterAddress: (address: IpAddress | undefined) => void
  /** The same of TCP. */
  readonly onTcpMapped: (port: number | undefined) => void
}

/** For one router and one port. */
interface Mappers {
  readonly gateway: IpAddress
  /** By the protocol that they map. */
  readonly ports: ReadonlyMap<MappedProtocol, PortMapper>
  readonly upnp: UpnpMapper
}

export class PortMapping {
  readonly #options: PortMappingOptions
  readonly #wakeUp: WakeUp
  /** Opened once; restarts overlap. */
  #opening: Promise<DatagramSocket | undefined> | undefined
  #socket: DatagramSocket | undefined
  #restarts = 0
  #mappers: Mappers | undefined
  /** One after the other, so that what is given back is not given back after it was mapped anew. */
  #requests: Promise<void> = Promise.resolve()
  readonly #told = new Map<MappedProtocol, number | undefined>()
  #toldAddress: string | undefined
  #isStopped = false

  constructor(options: PortMappingOptions) {
    this.#options = options
    this.#wakeUp = options.createWakeUp(() => {
      this.#turn(this.#mappers, ({ ports, upnp }, nowMs, output) => {
        for (const port of ports.values()) port.handleTimeout(nowMs, output.sends)
        upnp.handleTimeout(nowMs, output)
      })
    })
  }

  /**
   * The network or the data socket is another one. `port` 0: there is none. `takesTcp`: on the same port this
   * node takes TCP connections; else nobody is to be let in there.
   */
  async restart(port: number, takesTcp: boolean): Promise<void> {
    this.#restarts += 1
    const restart = this.#restarts
    this.#release()
    const route = tryRoute()
    if (this.#isStopped || port === 0 || route === undefined) return
    this.#opening ??= openDatagramSocket(4, (from, bytes) => {
      this.#turn(this.#mappers, ({ ports, upnp }, nowMs, output) => {
        for (const port of ports.values()) port.handleDatagram(from, bytes, nowMs)
        upnp.handleDatagram(from, bytes, output)
      })
    })
    this.#socket = await this.#opening
    if (this.#isStopped || restart !== this.#restarts) return
    this.#mappers = createMappers(route, port, takesTcp ? ['udp', 'tcp'] : ['udp'], this.#options.nonceOf)
    this.#turn(this.#mappers, ({ ports, upnp }, nowMs, output) => {
      for (const mapper of ports.values()) mapper.start(nowMs, output.sends)
      upnp.start(nowMs)
    })
  }

  /** The way to the world was lost, and is back: the router may have forgotten what it mapped. */
  renew(): void {
    this.#turn(this.#mappers, ({ ports }, nowMs, output) => {
      for (const mapper of ports.values()) mapper.renew(nowMs, output.sends)
    })
  }

  /** Resolves when all is given back, or the router does not answer. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#release()
    for (let last: Promise<void> | undefined; last !== this.#requests; ) {
      last = this.#requests
      await last
    }
    const socket = await this.#opening
    this.#socket = undefined
    await socket?.close()
  }

  #release(): void {
    const mappers = this.#mappers
    this.#mappers = undefined
    this.#wakeUp.at(Number.POSITIVE_INFINITY)
    this.#turn(mappers, ({ ports, upnp }, _nowMs, output) => {
      for (const port of ports.values()) port.stop(output.sends)
      upnp.stop(output)
    })
  }

  /** `mappers`: those of now, or others that still give back what they have. */
  #turn(
    mappers: Mappers | undefined,
    input: (mappers: Mappers, nowMs: number, output: UpnpOutput) => void,
  ): void {
    if (mappers === undefined) return
    const output: UpnpOutput = { sends: [], requests: [] }
    input(mappers, this.#options.nowMs(), output)
    for (const { to, bytes } of output.sends) this.#socket?.send(to, bytes)
    if (output.requests.length > 0) this.#ask(mappers, output.requests)
    if (mappers === this.#mappers) {
      const deadlines = [...mappers.ports.values(), mappers.upnp].map((mapper) => mapper.nextDeadlineMs())
      this.#wakeUp.at(Math.min(...deadlines))
    }
    this.#tellAddress()
    this.#tell('udp', this.#options.onMapped)
    this.#tell('tcp', this.#options.onTcpMapped)
  }

  #ask(mappers: Mappers, requests: readonly RouterRequest[]): void {
    this.#requests = this.#requests.then(async () => {
      const answers = await Promise.all(
        requests.map(async (request) => await askRouter(mappers.gateway, request, HTTP_PATIENCE_MS)),
      )
      for (const answer of answers) {
        this.#turn(mappers, ({ upnp }, nowMs, output) => upnp.handleAnswer(answer, nowMs, output))
      }
    })
  }

  #tellAddress(): void {
    const mappers = this.#mappers
    const address = mappers?.ports.get('udp')?.externalAddress ?? mappers?.upnp.externalAddress
    const text = address && formatIp(address)
    if (this.#isStopped || text === this.#toldAddress) return
    this.#toldAddress = text
    this.#options.onRouterAddress(address)
  }

  #tell(protocol: MappedProtocol, onMapped: (port: number | undefined) => void): void {
    const port =
      this.#mappers?.ports.get(protocol)?.externalPort ?? this.#mappers?.upnp.externalPort(protocol)
    if (this.#isStopped || port === this.#told.get(protocol)) return
    this.#told.set(protocol, port)
    onMapped(port)
  }
}

interface Route {
  readonly gateway: IpAddress
  readonly ownAddress: IpAddress
}

function createMappers(
  route: Route,
  port: number,
  protocols: readonly MappedProtocol[],
  nonceOf: PortMappingOptions['nonceOf'],
): Mappers {
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
  const common = { ...route, port, random }
  const suggestedPorts = { udp: port, tcp: SUGGESTED_TCP_PORT }
  const ports = new Map(
    protocols.map((protocol) => [
      protocol,
      new PortMapper({
        ...common,
        protocol,
        suggestedPort: suggestedPorts[protocol],
        nonce: nonceOf(protocol),
      }),
    ]),
  )
  const isNeeded = (protocol: MappedProtocol): boolean => {
    const mapper = ports.get(protocol)
    return mapper !== undefined && mapper.externalPort === undefined
  }
  return { gateway: route.gateway, ports, upnp: new UpnpMapper({ ...common, suggestedPorts, isNeeded }) }
}

/** Undefined where there is no router on the way: then nothing has to be mapped. */
function tryRoute(): Route | undefined {
  try {
    const { gateway, source } = routeTo(ANYWHERE) ?? {}
    return gateway?.family === 4 && source?.family === 4 ? { gateway, ownAddress: source } : undefined
  } catch {
    return undefined
  }
}
