/** Drives a PortMapper: the router on the way to the world is asked again whenever that is another one. */

import { randomBytes } from 'node:crypto'
import type { IpAddress } from '../../net/ip.js'
import { type MapperSend, PortMapper } from '../../paths/port-mapper.js'
import { type DatagramSocket, openDatagramSocket } from '../../platform/datagram-socket.js'
import { routeTo } from '../../platform/network.js'
import type { WakeUp } from '../engine.js'

/** On no network (RFC 5737): it takes the way that everything takes. */
const ANYWHERE: IpAddress = { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) }

export interface PortMappingOptions {
  readonly nowMs: () => number
  readonly createWakeUp: (onWake: () => void) => WakeUp
  /** External port of the data socket, or undefined if there is none any more. */
  readonly onMapped: (port: number | undefined) => void
}

export class PortMapping {
  readonly #options: PortMappingOptions
  readonly #wakeUp: WakeUp
  /** Opened once; restarts overlap. */
  #opening: Promise<DatagramSocket | undefined> | undefined
  #socket: DatagramSocket | undefined
  #mapper: PortMapper | undefined
  #isStopped = false

  constructor(options: PortMappingOptions) {
    this.#options = options
    this.#wakeUp = options.createWakeUp(() =>
      this.#turn((mapper, nowMs, sends) => mapper.handleTimeout(nowMs, sends)),
    )
  }

  /** The network or the data socket is another one. `port` 0: there is none. */
  async restart(port: number): Promise<void> {
    this.#release()
    const route = tryRoute()
    if (this.#isStopped || port === 0 || route === undefined) return
    this.#opening ??= openDatagramSocket(4, (from, bytes) => {
      this.#turn((mapper, nowMs) => mapper.handleDatagram(from, bytes, nowMs))
    })
    this.#socket = await this.#opening
    if (this.#isStopped) return
    const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
    this.#mapper = new PortMapper({ ...route, port, random })
    this.#turn((mapper, nowMs, sends) => {
      mapper.start(nowMs, sends)
      return false
    })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#release()
    const socket = await this.#opening
    this.#socket = undefined
    await socket?.close()
  }

  #release(): void {
    const sends: MapperSend[] = []
    const wasMapped = this.#mapper?.externalPort !== undefined
    this.#mapper?.stop(sends)
    this.#send(sends)
    this.#mapper = undefined
    this.#wakeUp.at(Number.POSITIVE_INFINITY)
    if (wasMapped && !this.#isStopped) this.#options.onMapped(undefined)
  }

  #turn(input: (mapper: PortMapper, nowMs: number, sends: MapperSend[]) => boolean): void {
    const mapper = this.#mapper
    if (mapper === undefined) return
    const sends: MapperSend[] = []
    const isChanged = input(mapper, this.#options.nowMs(), sends)
    this.#send(sends)
    this.#wakeUp.at(mapper.nextDeadlineMs())
    if (isChanged) this.#options.onMapped(mapper.externalPort)
  }

  #send(sends: readonly MapperSend[]): void {
    for (const { to, bytes } of sends) this.#socket?.send(to, bytes)
  }
}

/** Undefined where there is no router on the way: then nothing has to be mapped. */
function tryRoute(): { gateway: IpAddress; ownAddress: IpAddress } | undefined {
  try {
    const { gateway, source } = routeTo(ANYWHERE) ?? {}
    return gateway?.family === 4 && source?.family === 4 ? { gateway, ownAddress: source } : undefined
  } catch {
    return undefined
  }
}
