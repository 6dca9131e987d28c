/**
 * The network under the overlays: which interfaces of this machine are tunnels, whether the kernel would send
 * through one of them, and from which address. What is sent into a tunnel of ours comes out inside a datagram
 * of ours: the tunnel in itself, or two in each other, and each packet brings forth another, for ever.
 *
 * Whose a tunnel is stands in its alias (`ip link` shows it), so that all daemons know all tunnels, whatever
 * file system they see. What the kernel answers is remembered until links, addresses, routes or rules change.
 */

import { networkInterfaces } from 'node:os'
import { equalIp, formatIp, type IpAddress } from '../net/ip.js'
import type { Path } from '../net/path.js'
import { type Prefix, prefixContains, tryParsePrefix } from '../net/prefix.js'
import { isLinkLocal, isPrivate } from '../net/special-addresses.js'
import { watchLinks } from './link-events.js'
import { listLinks, type RouteAnswer, routeTo, setLinkAlias } from './network.js'

const TUNNEL_ALIAS = 'overlay tunnel'
const NETWORK_ALIAS = 'overlay network'
/** Changes come in swarms: a link goes, its addresses go, others come. */
const SETTLE_MS = 60
/** A machine that speaks a routing protocol has changes all the time. */
const INTERVAL_MS = 1000
/** Addresses that are asked for are named by peers, who have budgets; this is only the last bound. */
const MAX_REMEMBERED = 4096

export interface Tunnel {
  readonly name: string
  readonly index: number
  /** Of this program, in whatever process. */
  readonly isOurs: boolean
}

/** An address of an interface. */
interface Local {
  readonly linkIndex: number
  readonly prefix: Prefix
}

interface Facts {
  readonly tunnels: ReadonlyMap<number, Tunnel>
  /** Ranges of the networks of this machine, and of what was set. */
  readonly overlays: readonly Prefix[]
  readonly locals: readonly Local[]
}

/** Tells all daemons whose an interface is. `network`: its name; undefined for a tunnel of no network. */
export function labelTunnel(index: number, network: string | undefined): void {
  try {
    setLinkAlias(index, network === undefined ? TUNNEL_ALIAS : `${NETWORK_ALIAS} ${network}`)
  } catch {
    // Who may not, as in some containers, has a tunnel that others take for another program's: of that they
    // avoid all addresses but public ones.
  }
}

export class Underlay {
  /** SO_MARK of the tunnel's own datagrams: routes may depend on it. */
  readonly #mark: () => number
  readonly #listeners = new Set<() => void>()
  readonly #links: { stop(): void }
  #own: readonly Prefix[] = []
  #facts: Facts | undefined
  readonly #routes = new Map<string, RouteAnswer | undefined>()
  #timer: NodeJS.Timeout | undefined
  #toldMs = Number.NEGATIVE_INFINITY

  /** Until stop(). Throws PlatformError. */
  constructor(mark: () => number) {
    this.#mark = mark
    this.#links = watchLinks((event) => this.#handleChange(event.kind === 'routes'), { hasRoutes: true })
  }

  /** Ranges of the network that this tunnel is part of: they may be known before the interface has an address. */
  setOverlays(prefixes: readonly Prefix[]): void {
    this.#own = prefixes
    this.refresh()
  }

  /** Calls back when links, addresses, routes or rules are others; at once for none. */
  watch(listener: () => void): { stop(): void } {
    this.#listeners.add(listener)
    return { stop: () => this.#listeners.delete(listener) }
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#listeners.clear()
    this.#links.stop()
  }

  /** Of this machine, without those of tunnels and of loopback. */
  get addresses(): readonly Prefix[] {
    const { locals, tunnels } = this.#look()
    return locals.filter(({ linkIndex }) => !tunnels.has(linkIndex)).map(({ prefix }) => prefix)
  }

  get allAddresses(): readonly IpAddress[] {
    return this.#look().locals.map(({ prefix }) => prefix.address)
  }

  /**
   * Whether an address is inside an overlay: of a network's range, or such that its route leads into a tunnel. A
   * tunnel of another program is this machine's way into the world if it is the way to public addresses.
   * `isMarked`: for the tunnel's own sockets; others have no mark.
   */
  isOverlay(address: IpAddress, isMarked: boolean): boolean {
    if (this.isInNetwork(address)) return true
    const tunnel = this.tunnelTo(address, isMarked)
    return tunnel !== undefined && (tunnel.isOurs || isPrivate(address))
  }

  /** Whether an address is of the range of a network of ours, on this machine. */
  isInNetwork(address: IpAddress): boolean {
    return this.#look().overlays.some((prefix) => prefixContains(prefix, address))
  }

  /** The tunnel that datagrams to an address would go into. */
  tunnelTo(address: IpAddress, isMarked: boolean): Tunnel | undefined {
    const route = this.#route(address, isMarked ? this.#mark() : 0)
    return route === undefined ? undefined : this.#look().tunnels.get(route.linkIndex)
  }

  /**
   * The path with the address that its datagrams are to leave from; without one, the kernel chooses well. Over a link
   * that has no address, or none yet, the kernel would send from one of a tunnel: rather from another of the link, or
   * of a link that is no tunnel. Undefined if there is none: from an address of ours nobody could answer.
   */
  outerPath(path: Path): Path | undefined {
    if (path.local !== undefined && this.#tunnelWith(path.local) === undefined) return path
    const { address } = path.remote
    const route = this.#route(address, this.#mark())
    const isGood = route?.source === undefined || this.#look().tunnels.has(route.linkIndex)
    const tunnel = isGood ? undefined : this.#tunnelWith(route.source)
    const local = tunnel && this.#sourceOver(route?.linkIndex, address.family)
    if (tunnel?.isOurs === true && local === undefined) return undefined
    return local === path.local ? path : { ...path, local }
  }

  /** The link that the tunnel's own datagrams to an address leave over; undefined if there is no way. */
  linkTo(address: IpAddress): number | undefined {
    return this.#route(address, this.#mark())?.linkIndex
  }

  hasAddress(linkIndex: number, address: IpAddress): boolean {
    return this.#look().locals.some(
      ({ linkIndex: link, prefix }) => link === linkIndex && equalIp(prefix.address, address),
    )
  }

  #sourceOver(linkIndex: number | undefined, family: 4 | 6): IpAddress | undefined {
    const { tunnels, locals } = this.#look()
    const usable = locals.filter(
      ({ linkIndex: link, prefix: { address } }) =>
        address.family === family && !tunnels.has(link) && !isLinkLocal(address),
    )
    return (usable.find((local) => local.linkIndex === linkIndex) ?? usable[0])?.prefix.address
  }

  /** Whose own address it is, here. */
  #tunnelWith(address: IpAddress): Tunnel | undefined {
    const { locals, tunnels } = this.#look()
    const local = locals.find(
      ({ linkIndex, prefix }) => tunnels.has(linkIndex) && equalIp(prefix.address, address),
    )
    return local && tunnels.get(local.linkIndex)
  }

  /** What follows is asked anew: routes were changed, and the news of it is still on its way. */
  refresh(): void {
    this.#facts = undefined
    this.#routes.clear()
  }

  #route(address: IpAddress, mark: number): RouteAnswer | undefined {
    const key = `${formatIp(address)} ${mark}`
    if (this.#routes.has(key)) return this.#routes.get(key)
    if (this.#routes.size >= MAX_REMEMBERED) this.#routes.clear()
    const answer = tryRoute(address, mark)
    this.#routes.set(key, answer)
    return answer
  }

  #look(): Facts {
    this.#facts ??= readFacts(this.#own)
    return this.#facts
  }

  #handleChange(isOfRoutes: boolean): void {
    this.refresh()
    const waitMs = isOfRoutes
      ? Math.max(SETTLE_MS, this.#toldMs + INTERVAL_MS - performance.now())
      : SETTLE_MS
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#toldMs = performance.now()
      for (const listener of [...this.#listeners]) listener()
    }, waitMs)
  }
}

function tryRoute(address: IpAddress, mark: number): RouteAnswer | undefined {
  try {
    return routeTo(address, mark)
  } catch {
    return undefined // the kernel answers in another way for some addresses; sending there will fail as well
  }
}

function readFacts(own: readonly Prefix[]): Facts {
  const links = listLinks()
  const tunnels = new Map<number, Tunnel>()
  const networks = new Set<number>()
  for (const { index, name, isTunnel, alias } of links) {
    if (!isTunnel) continue
    const isNetwork = alias.startsWith(NETWORK_ALIAS)
    tunnels.set(index, { index, name, isOurs: isNetwork || alias === TUNNEL_ALIAS })
    if (isNetwork) networks.add(index)
  }
  const locals = listLocals(new Map(links.map(({ name, index }) => [name, index])))
  const ofNetworks = locals.filter(({ linkIndex }) => networks.has(linkIndex)).map(({ prefix }) => prefix)
  return { tunnels, locals, overlays: [...own, ...ofNetworks] }
}

function listLocals(indices: ReadonlyMap<string, number>): Local[] {
  return Object.entries(networkInterfaces()).flatMap(([name, list = []]) =>
    list.flatMap(({ cidr, internal }) => {
      const prefix = internal ? undefined : tryParsePrefix(cidr?.replace(/%[^/]*/, '') ?? '')
      // Of IPv4, an address may have a name of its own behind that of its interface: eth0:1.
      const linkIndex = indices.get(name) ?? indices.get(name.split(':')[0] ?? '')
      return prefix === undefined || linkIndex === undefined ? [] : [{ linkIndex, prefix }]
    }),
  )
}
