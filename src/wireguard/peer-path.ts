/**
 * Where one peer is: the endpoint that was configured or learnt, and the path over one of our sockets
 * that leads there. What changes goes to the data plane as an effect; what the data plane learnt itself
 * comes in by `adopt`, and goes nowhere.
 *
 * The local address of a path is the one the peer wrote to, so that answers leave from there.
 */

import { type Endpoint, equalEndpoint } from '../net/endpoint.js'
import { equalPath, type Path, type SocketId } from '../net/path.js'
import type { Effects } from './effects.js'

/** Sockets that paths can use, by address family. */
export interface OuterSockets {
  readonly v4: SocketId | undefined
  readonly v6: SocketId | undefined
}

export class PeerPath {
  readonly #slot: number
  #endpoint: Endpoint | undefined
  #path: Path | undefined

  constructor(slot: number) {
    this.#slot = slot
  }

  /** Known even while there is no socket to reach it. */
  get endpoint(): Endpoint | undefined {
    return this.#endpoint
  }

  get current(): Path | undefined {
    return this.#path
  }

  isAt(endpoint: Endpoint): boolean {
    return this.#endpoint !== undefined && equalEndpoint(this.#endpoint, endpoint)
  }

  /** Takes the socket of the endpoint's family; there is no way to port 0. True if the peer is now reached over another one. */
  bind(endpoint: Endpoint | undefined, sockets: OuterSockets, effects: Effects): boolean {
    this.#endpoint = endpoint
    const socket = endpoint?.address.family === 4 ? sockets.v4 : sockets.v6
    const before = this.#path?.socket
    const isBound = endpoint !== undefined && endpoint.port !== 0 && socket !== undefined
    this.set(isBound ? { socket, remote: endpoint, local: undefined } : undefined, effects)
    return isBound && socket !== before
  }

  /** An authentic handshake message came over `path`, or there is none any more. */
  set(path: Path | undefined, effects: Effects): void {
    if (path !== undefined) this.#endpoint = path.remote
    const old = this.#path
    if (old === path || (old !== undefined && path !== undefined && equalPath(old, path))) return
    this.#path = path
    effects.push({ kind: 'setPath', slot: this.#slot, path })
  }

  /** The data plane sends over `path` already. */
  adopt(path: Path): void {
    this.#path = path
    this.#endpoint = path.remote
  }

  /** Silence may mean that our address of the path is gone: let the kernel choose again. */
  forgetLocalAddress(effects: Effects): void {
    if (this.#path?.local !== undefined) this.set({ ...this.#path, local: undefined }, effects)
  }
}
