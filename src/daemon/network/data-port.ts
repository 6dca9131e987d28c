/**
 * The port of the data sockets, as far as others come to it: TCP connections are taken there too, and the router
 * is asked to map both.
 */

import type { Logger } from '../../base/log.js'
import type { PathHandlers, WakeUp } from '../engine.js'
import type { PathDriver } from './path-driver.js'
import { PortMapping, type PortMappingOptions } from './port-mapping.js'

const NONE = { v4: undefined, v6: undefined, port: 0 }

export interface DataPortOptions {
  readonly driver: PathDriver
  readonly createWakeUp: (onWake: () => void) => WakeUp
  readonly nowMs: () => number
  readonly log: Logger
  readonly nonceOf: PortMappingOptions['nonceOf']
}

export class DataPort {
  readonly #driver: PathDriver
  readonly #mapping: PortMapping
  /** 0 while there are no sockets. */
  #port = 0
  #takesTcp = false
  #isStopped = false

  constructor({ driver, createWakeUp, nowMs, log, nonceOf }: DataPortOptions) {
    this.#driver = driver
    this.#mapping = new PortMapping({
      nonceOf,
      nowMs,
      createWakeUp,
      onMapped: (port) => {
        log.info('port.mapped', { port: port ?? 'none' })
        driver.turn((manager, now, effects) => manager.setMappedPort(port, now, effects))
      },
      onRouterAddress: (address) => {
        driver.turn((manager, now, effects) => manager.setRouterAddress(address, now, effects))
      },
      onTcpMapped: (port) => {
        log.info('port.mapped.tcp', { port: port ?? 'none' })
        driver.turn((manager, now, effects) => manager.setMappedTcpPort(port, now, effects))
      },
    })
  }

  /** From the engine: the sockets are new, or gone. */
  handleSockets(sockets: Parameters<PathHandlers['handleSockets']>[0]): void {
    this.#driver.turn((manager, nowMs, effects) => manager.setSockets(sockets ?? NONE, nowMs, effects))
    this.#port = (sockets ?? NONE).port
    if (!this.#isStopped) void this.#open()
  }

  /** The router may be another one. */
  handleNetworkChanged(): void {
    void this.#mapping.restart(this.#port, this.#takesTcp)
  }

  /** The way to the world was lost, and is back. */
  handleReturn(): void {
    this.#mapping.renew()
  }

  /** Resolves when the router has its ports back, or is not there. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#mapping.stop()
  }

  async #open(): Promise<void> {
    this.#takesTcp = await this.#driver.listenTcp(this.#port)
    if (!this.#isStopped) await this.#mapping.restart(this.#port, this.#takesTcp)
  }
}
