/**
 * From which address the datagrams of each path leave, where the kernel's choice would be wrong (see
 * platform/underlay.ts): as asked for, and as the data plane has it. What is right changes with addresses and routes.
 */

import { equalPath, type Path, type SocketId } from '../net/path.js'

interface PeerPath {
  readonly asked: Path
  readonly used: Path | undefined
}

export class OuterPaths {
  readonly #choose: (path: Path) => Path | undefined
  /** They have names for endpoints, and no addresses. */
  readonly #framePorts = new Set<SocketId>()
  /** By slot. */
  readonly #paths = new Map<number, PeerPath>()

  constructor(choose: (path: Path) => Path | undefined) {
    this.#choose = choose
  }

  addFramePort(port: SocketId): void {
    this.#framePorts.add(port)
  }

  /** The path as it is to be used; undefined if it cannot be now. */
  of(path: Path): Path | undefined {
    return this.#framePorts.has(path.socket) ? path : this.#choose(path)
  }

  /** The same for a peer, whose path it is from now on; undefined for none. */
  set(slot: number, asked: Path | undefined): Path | undefined {
    if (asked === undefined) {
      this.#paths.delete(slot)
      return undefined
    }
    const used = this.of(asked)
    this.#paths.set(slot, { asked, used })
    return used
  }

  /** The data plane sends there by itself. */
  learnt(slot: number, path: Path): void {
    this.#paths.set(slot, { asked: path, used: path })
  }

  /** Addresses or routes are others: paths that are to be used in another way now, by slot. */
  review(): [slot: number, path: Path | undefined][] {
    const changed: [number, Path | undefined][] = []
    for (const [slot, { asked, used }] of this.#paths) {
      const next = this.of(asked)
      if (next === used || (next !== undefined && used !== undefined && equalPath(next, used))) continue
      this.#paths.set(slot, { asked, used: next })
      changed.push([slot, next])
    }
    return changed
  }
}
