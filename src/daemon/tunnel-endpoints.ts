/**
 * Where the peers of a tunnel file are: what its endpoints resolve to when the tunnel comes up or its file changes, and what
 * does not resolve until later.
 */

import type { Logger } from '../base/log.js'
import type { ResolvedEndpoints } from '../config/device-update.js'
import { takesNameServers } from '../config/name-servers.js'
import type { TunnelConfig } from '../config/types.js'
import { type Endpoint, formatEndpoint, formatHostEndpoint, type HostEndpoint } from '../net/endpoint.js'
import { nameServers } from '../platform/used-addresses.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import { resolveEndpoints, tryResolveEndpoints } from './endpoint-resolver.js'
import type { Engine } from './engine.js'
import { UnresolvedNames } from './unresolved-names.js'

/** For names that are not resolved at once, where the tunnel can do without them. */
const START_PATIENCE_MS = 2000

export interface TunnelEndpointsOptions {
  /** A start waits until all names are resolved, or fails. */
  readonly waitsForNames: boolean
  /** False: the machine's resolver stays as it is, whatever the file says. */
  readonly hasDns: boolean
  readonly config: () => TunnelConfig | undefined
  readonly engine: () => Pick<Engine, 'configure' | 'snapshot'> | undefined
  readonly warn: (text: string) => void
  readonly log: Logger
}

export class TunnelEndpoints {
  readonly #options: TunnelEndpointsOptions
  readonly #names: UnresolvedNames
  #resolved: ResolvedEndpoints = new Map()
  /** At the start, with the reasons. */
  #unresolved: ReadonlyMap<string, string> = new Map()

  constructor(options: TunnelEndpointsOptions) {
    this.#options = options
    const onResolved = (host: HostEndpoint, endpoint: Endpoint): void => this.#take(host, endpoint)
    this.#names = new UnresolvedNames({ wallNowMs: Date.now, onResolved })
  }

  get resolved(): ResolvedEndpoints {
    return this.#resolved
  }

  /** In words, of each that does not resolve. */
  get faults(): string[] {
    return this.#names.faults
  }

  /** Throws AppError if the tunnel cannot do without a name that is not resolved. */
  async resolveAll(config: TunnelConfig, signal: AbortSignal): Promise<ResolvedEndpoints> {
    const hosts = hostsOf(config)
    const { waitsForNames, hasDns, warn } = this.#options
    if (waitsForNames || takesNameServers(config, { servers: nameServers(), hasDns })) {
      this.#resolved = await resolveEndpoints(hosts, { signal, onDelay: warn })
    } else {
      const { endpoints, unresolved } = await tryResolveEndpoints(hosts, START_PATIENCE_MS, { signal })
      this.#resolved = endpoints
      this.#unresolved = unresolved
    }
    return this.#resolved
  }

  /** The tunnel is up: what did not resolve is asked for from now on. */
  goOn(config: TunnelConfig): void {
    for (const host of hostsOf(config)) {
      const reason = this.#unresolved.get(formatHostEndpoint(host))
      if (reason !== undefined) this.#names.add(host, reason)
    }
    for (const fault of this.faults) this.#options.warn(fault)
  }

  /**
   * Of a changed file. What is known stays as it is, and what is waited for is still waited for. Throws AppError if
   * another name does not resolve.
   */
  async resolveNew(config: TunnelConfig, signal: AbortSignal): Promise<ResolvedEndpoints> {
    const added = hostsOf(config).filter(
      (host) => !this.#resolved.has(formatHostEndpoint(host)) && !this.#names.has(host),
    )
    return new Map([...this.#resolved, ...(await resolveEndpoints(added, { signal }))])
  }

  /** The changed file counts now. */
  replace(config: TunnelConfig, resolved: ResolvedEndpoints): void {
    this.#resolved = resolved
    this.#names.retain(hostsOf(config))
  }

  stop(): void {
    this.#names.stop()
  }

  /** A name is resolved at last. A peer that has called meanwhile stays where it is. */
  #take(host: HostEndpoint, endpoint: Endpoint): void {
    const engine = this.#options.engine()
    const config = this.#options.config()
    if (engine === undefined || config === undefined) return
    const text = formatHostEndpoint(host)
    this.#resolved = new Map([...this.#resolved, [text, endpoint]])
    const { peers } = engine.snapshot()
    const known = new Set(peers.flatMap((peer) => (peer.endpoint ? [formatKeyBase64(peer.publicKey)] : [])))
    for (const peer of config.peers) {
      const { publicKey, persistentKeepaliveS } = peer
      const isMeant = peer.endpoint !== undefined && formatHostEndpoint(peer.endpoint) === text
      if (!isMeant || known.has(formatKeyBase64(publicKey))) continue
      const update = { publicKey, updateOnly: true, allowedIps: [] }
      // Switched on, a keepalive is sent at once: whoever waits for us hears that we are here.
      engine.configure({ peers: [{ ...update, persistentKeepaliveS: 0 }] })
      engine.configure({ peers: [{ ...update, endpoint, persistentKeepaliveS }] })
    }
    this.#options.log.info('endpoint.resolved', { host: text, endpoint: formatEndpoint(endpoint) })
  }
}

function hostsOf(config: TunnelConfig): HostEndpoint[] {
  return config.peers.flatMap((peer) => (peer.endpoint === undefined ? [] : [peer.endpoint]))
}
