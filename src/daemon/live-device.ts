/**
 * One interface that is there: TUN, engine, UAPI socket, and the eye on what happens to the link.
 *
 * Link up opens the sockets and link down closes them, as with the kernel's WireGuard, whoever sets
 * it, and wherever the link is: it may be moved into another network namespace. The link being removed, or its MTU
 * changed, is handed on as well. Knows nothing of files.
 */

import type { Logger } from '../base/log.js'
import { type LinkInfo, tryFindLink } from '../platform/network.js'
import { tryNamespaceName } from '../platform/network-namespace.js'
import type { TunPort } from '../platform/tun.js'
import type { Underlay } from '../platform/underlay.js'
import type { Engine } from './engine.js'
import type { LiveInterface } from './host-changes.js'
import { LinkWatch } from './link-watch.js'
import { startUapiServer } from './uapi-server.js'

export interface LiveDeviceOptions {
  readonly tun: TunPort
  readonly engine: Engine
  readonly underlay: Underlay
  readonly uapiSocket: string
  readonly log: Logger
  /** The interface was removed by somebody else. Called once. */
  readonly onRemoved: () => void
}

interface Stoppable {
  stop(): Promise<void> | void
}

export class LiveDevice {
  readonly tun: TunPort
  readonly engine: Engine
  readonly underlay: Underlay
  readonly #options: LiveDeviceOptions
  #uapi: Stoppable | undefined
  #links: LinkWatch | undefined
  #isUp = false
  #moves = 0
  #mtu: number
  #isStopped = false

  private constructor(options: LiveDeviceOptions, mtu: number) {
    this.#options = options
    this.tun = options.tun
    this.engine = options.engine
    this.underlay = options.underlay
    this.#mtu = mtu
  }

  /** Takes `tun`, `engine` and `underlay` over, also when it fails. */
  static async open(options: LiveDeviceOptions, mtu: number): Promise<LiveDevice> {
    const device = new LiveDevice(options, mtu)
    try {
      device.underlay.watch(() => device.engine.reviewPaths())
      device.#links = new LinkWatch({
        tun: options.tun,
        onLink: (link) => device.#handleLink(link),
        onMoved: ({ namespace, isAway }) => {
          device.#moves += 1
          options.log.info('link.moved', { namespace, isAway })
        },
        onGone: () => device.#handleGone(),
      })
      device.#uapi = await startUapiServer({
        path: options.uapiSocket,
        device: options.engine,
        log: options.log,
        onRemoved: options.onRemoved,
      })
      return device
    } catch (error) {
      await device.stop()
      throw error
    }
  }

  get isUp(): boolean {
    return this.#isUp
  }

  /** Where addresses and routes can be set: undefined unless it is up, and in our network namespace. */
  get upInterface(): LiveInterface | undefined {
    const { name, linkIndex } = this.tun
    const link = this.isAway ? undefined : tryFindLink(name)
    return link?.isUp === true && link.index === linkIndex ? { name, linkIndex } : undefined
  }

  /** Somebody moved the interface into another network namespace. The sockets stay in that of this process. */
  get isAway(): boolean {
    return this.#links?.isAway === true
  }

  /** The network namespace that it is in, by its name or number, if that is another one. */
  get otherNamespace(): string | undefined {
    const namespace = this.#links?.namespace
    if (!this.isAway || namespace === undefined) return undefined
    return tryNamespaceName(namespace) ?? namespace
  }

  /** Grows whenever it is moved: then its addresses and routes are gone. */
  get moves(): number {
    return this.#moves
  }

  get mtu(): number {
    return this.#mtu
  }

  /** Opens the sockets at once, so that a port in use is an error here and not a line in a log. */
  up(): void {
    this.engine.up()
    this.#isUp = true
  }

  setMtu(mtu: number): void {
    this.#mtu = mtu
    this.engine.setMtu(mtu)
  }

  /** Idempotent. The interface is gone afterwards, with its addresses and routes. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#links?.stop()
    this.underlay.stop()
    await this.#uapi?.stop()
    await this.engine.stop()
    this.tun.close()
  }

  #handleLink({ mtu, isUp }: LinkInfo): void {
    if (this.#isStopped) return
    if (mtu !== this.#mtu) this.setMtu(mtu)
    if (isUp !== this.#isUp) this.#follow(isUp)
  }

  #handleGone(): void {
    if (!this.#isStopped) this.#options.onRemoved()
  }

  #follow(isUp: boolean): void {
    const { log } = this.#options
    try {
      if (isUp) this.engine.up()
      else this.engine.down()
      this.#isUp = isUp
      log.info(isUp ? 'link.up' : 'link.down')
    } catch (error) {
      // The listen port is taken, most likely. Setting another port, or down and up, tries again.
      log.error('link.up_failed', { reason: error instanceof Error ? error.message : String(error) })
    }
  }
}
