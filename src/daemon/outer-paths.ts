/**
 * From which address the datagrams of each path leave, as asked for and as the data plane has it. Two things make it
 * another one than a peer wrote to: the kernel's choice would be wrong (see platform/underlay.ts), and the route to the
 * peer leads over another link than when the address was learnt. Both change with addresses and routes.
 */

import { equalIp, type IpAddress } from '../net/ip.js'
import { equalPath, type Path, type SocketId } from '../net/path.js'

interface Source {
  readonly address: IpAddress
  /** The link over which the route led when the peer wrote to this address; undefined if there was none. */
  readonly link: number | undefined
}

interface PeerPath {
  readonly asked: Path
  readonly used: Path | undefined
  /** Of `asked`, if it has one. */
  readonly source: Source | undefined
  /** Forgotten because of its route: messages to it, sent before the peer knew of another, do not bring it back. */
  readonly forgotten: Source | undefined
}

export interface OuterPathsOptions {
  readonly choose: (path: Path) => Path | undefined
  /** The link over which the route to a path's remote leads; undefined if there is none. */
  readonly linkTo: (path: Path) => number | undefined
  readonly hasAddress: (link: number, address: IpAddress) => boolean
}

export class OuterPaths {
  readonly #options: OuterPathsOptions
  /** They have names for endpoints, and no addresses. */
  readonly #framePorts = new Set<SocketId>()
  /** Slots of peers whose paths are found by others, with addresses that were tried. */
  readonly #fixed = new Set<number>()
  /** By slot. */
  readonly #paths = new Map<number, PeerPath>()

  constructor(options: OuterPathsOptions) {
    this.#options = options
  }

  addFramePort(port: SocketId): void {
    this.#framePorts.add(port)
  }

  /** Whether a peer's path follows what it writes to; so it is at first. */
  setRoaming(slot: number, isRoaming: boolean): void {
    if (isRoaming) this.#fixed.delete(slot)
    else this.#fixed.add(slot)
  }

  remove(slot: number): void {
    this.#paths.delete(slot)
    this.#fixed.delete(slot)
  }

  /** The path as it is to be used; undefined if it cannot be now. */
  of(path: Path): Path | undefined {
    return this.#framePorts.has(path.socket) ? path : this.#options.choose(path)
  }

  /** The same for a peer, whose path it is from now on; undefined for none. */
  set(slot: number, asked: Path | undefined): Path | undefined {
    if (asked === undefined) {
      this.#paths.delete(slot)
      return undefined
    }
    const forgotten = this.#paths.get(slot)?.forgotten
    const source = this.#sourceOf(slot, asked, forgotten)
    const isForgotten = source !== undefined && this.#hasMoved(source, asked)
    const used = this.of(isForgotten ? { ...asked, local: undefined } : asked)
    this.#paths.set(slot, { asked, used, source, forgotten })
    return used
  }

  /** The data plane sends there by itself. True if that is from an address that was forgotten: review it soon. */
  learnt(slot: number, path: Path): boolean {
    const forgotten = this.#paths.get(slot)?.forgotten
    const source = this.#sourceOf(slot, path, forgotten)
    this.#paths.set(slot, { asked: path, used: path, source, forgotten })
    return source !== undefined && source === forgotten && this.#hasMoved(source, path)
  }

  get slots(): number[] {
    return [...this.#paths.keys()]
  }

  /** Whether the route to a peer has moved to another link: then its path's address is not to be used any more. */
  forgetMoved(slot: number): boolean {
    const path = this.#paths.get(slot)
    if (path?.source === undefined || !this.#hasMoved(path.source, path.asked)) return false
    const asked = { ...path.asked, local: undefined }
    this.#paths.set(slot, { ...path, asked, source: undefined, forgotten: path.source })
    return true
  }

  /** Gives the path as it is to be used now, if that is another one. */
  review(slot: number): { readonly path: Path | undefined } | undefined {
    const before = this.#paths.get(slot)
    if (before === undefined) return undefined
    const { asked, used } = before
    const next = this.of(asked)
    if (next === used || (next !== undefined && used !== undefined && equalPath(next, used))) return undefined
    this.#paths.set(slot, { ...before, used: next })
    return { path: next }
  }

  #sourceOf(slot: number, path: Path, forgotten: Source | undefined): Source | undefined {
    const { local } = path
    if (local === undefined || this.#fixed.has(slot)) return undefined
    if (forgotten !== undefined && equalIp(forgotten.address, local)) return forgotten
    return { address: local, link: this.#options.linkTo(path) }
  }

  /** A route that is gone says nothing: another one may follow. */
  #hasMoved({ address, link }: Source, path: Path): boolean {
    const now = link === undefined ? undefined : this.#options.linkTo(path)
    return now !== undefined && now !== link && !this.#options.hasAddress(now, address)
  }
}
