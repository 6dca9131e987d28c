/** Pings where a peer may be reached: what is asked, over which socket, and how this node's NAT is opened for it. */

import type { Path } from '../net/path.js'
import type { FinderEffect, OwnPosition } from './finder-types.js'
import type { PathRecord } from './path-record.js'
import type { PingBook } from './ping-book.js'
import type { Targets } from './targets.js'

export interface ProbingOptions {
  readonly own: () => OwnPosition
  readonly pings: PingBook
  readonly targets: Targets
  readonly record: PathRecord
}

export class Probing {
  readonly #options: ProbingOptions

  constructor(options: ProbingOptions) {
    this.#options = options
  }

  /** All targets. */
  pingAll(nowMs: number, effects: FinderEffect[]): void {
    for (const path of this.#targetPaths()) this.try(path, nowMs, effects)
  }

  /** For pings of all targets. What has no NAT before it on the way is pinged at once: see SearchSchedule. */
  openNat(hops: number, nowMs: number, effects: FinderEffect[]): void {
    for (const path of this.#targetPaths()) {
      if (!this.#options.targets.isBehindNat(path.remote)) this.try(path, nowMs, effects)
      else effects.push({ kind: 'send', path, bytes: this.#options.pings.createOpener(), hops })
    }
  }

  /** A ping, unless too many to this endpoint were left unanswered. */
  try(path: Path, nowMs: number, effects: FinderEffect[]): void {
    const { targets, record } = this.#options
    if (!targets.tryOnce(path.remote, nowMs)) return
    this.ping(path, nowMs, effects)
    record.probed(1)
  }

  ping(path: Path, nowMs: number, effects: FinderEffect[]): void {
    effects.push({ kind: 'send', path, bytes: this.#options.pings.create(path, nowMs) })
  }

  #targetPaths(): Path[] {
    const { targets, own } = this.#options
    const { v4, v6 } = own().sockets
    return targets.endpoints.flatMap((remote) => {
      const socket = remote.address.family === 4 ? v4 : v6
      return socket === undefined ? [] : [{ socket, remote, local: undefined }]
    })
  }
}
