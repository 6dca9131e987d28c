/**
 * Peers named by host name may move: when a peer's handshakes stay unanswered, its name is asked for
 * again, beside all other work and at most once in a while. Where it leads to several addresses, the next one is
 * tried each time.
 */

import type { Logger } from '../base/log.js'
import type { TunnelConfig } from '../config/types.js'
import { type Endpoint, equalEndpoint, formatEndpoint, type HostEndpoint } from '../net/endpoint.js'
import { formatKeyBase64, formatShortKey, type PublicKey } from '../wireguard/keys.js'
import { isHostName, resolveAll } from './endpoint-resolver.js'
import type { Engine } from './engine.js'

const MIN_INTERVAL_MS = 15_000

export interface EndpointRefreshOptions {
  readonly config: () => TunnelConfig | undefined
  readonly engine: () => Pick<Engine, 'configure' | 'snapshot'> | undefined
  readonly resolve?: (host: HostEndpoint) => Promise<readonly [Endpoint, ...Endpoint[]]>
  readonly bootNowMs: () => number
  readonly log: Logger
}

export class EndpointRefresh {
  readonly #options: EndpointRefreshOptions
  readonly #lastTryMs = new Map<string, number>()

  constructor(options: EndpointRefreshOptions) {
    this.#options = options
  }

  /** Resolves when the try is over; never rejects. */
  async handleFailing(publicKey: PublicKey): Promise<void> {
    const host = this.#hostOf(publicKey)
    if (host === undefined || !this.#takeTurn(formatKeyBase64(publicKey))) return
    const { log, resolve = resolveAll } = this.#options
    const peer = formatShortKey(publicKey)
    try {
      this.#moveOn(publicKey, await resolve(host))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.warn('endpoint.unresolved', { peer, host: host.host, reason })
    }
  }

  #moveOn(publicKey: PublicKey, endpoints: readonly [Endpoint, ...Endpoint[]]): void {
    const engine = this.#options.engine()
    const id = formatKeyBase64(publicKey)
    const peer = engine?.snapshot().peers.find((other) => formatKeyBase64(other.publicKey) === id)
    if (engine === undefined || peer === undefined) return
    const endpoint = nextAfter(peer.endpoint, endpoints)
    if (peer.endpoint !== undefined && equalEndpoint(peer.endpoint, endpoint)) return
    engine.configure({ peers: [{ publicKey, updateOnly: true, endpoint, allowedIps: [] }] })
    this.#options.log.info('endpoint.moved', {
      peer: formatShortKey(publicKey),
      endpoint: formatEndpoint(endpoint),
    })
  }

  /** The peer's host name, if it has one. */
  #hostOf(publicKey: PublicKey): HostEndpoint | undefined {
    const id = formatKeyBase64(publicKey)
    const peer = this.#options.config()?.peers.find((other) => formatKeyBase64(other.publicKey) === id)
    return peer?.endpoint !== undefined && isHostName(peer.endpoint) ? peer.endpoint : undefined
  }

  #takeTurn(id: string): boolean {
    const nowMs = this.#options.bootNowMs()
    const lastMs = this.#lastTryMs.get(id)
    if (lastMs !== undefined && nowMs - lastMs < MIN_INTERVAL_MS) return false
    this.#lastTryMs.set(id, nowMs)
    return true
  }
}

/** The first one if what stayed silent is none of them. */
function nextAfter(silent: Endpoint | undefined, endpoints: readonly [Endpoint, ...Endpoint[]]): Endpoint {
  const at = endpoints.findIndex((endpoint) => silent !== undefined && equalEndpoint(endpoint, silent))
  return endpoints[(at + 1) % endpoints.length] ?? endpoints[0]
}
