/**
 * Connections that nobody has taken over yet: what they may wait for, for how long, and how many there are.
 *
 * INVARIANT: every connection of the front door is in here, with a deadline, until it is closed or a part that
 * has deadlines of its own took it over. When there are too many, the oldest of the busiest source gives way.
 */

import type { Socket } from 'node:net'
import { ShareTable } from '../../base/share-table.js'
import type { Endpoint } from '../../net/endpoint.js'
import { type SourceKey, sourceOf } from '../../net/source.js'
import { remoteEndpointOf } from '../../relay/io/byte-stream.js'

/** Of all sources: a building full of nodes that comes back at once, and a flood beside it. */
const MAX_STRANGERS = 2048
/** For the first byte, for TLS, for the first byte inside, for a whole request: for each of them. */
const STEP_TIMEOUT_MS = 5000
/** For all of them together. */
const WHOLE_TIMEOUT_MS = 10_000

export interface AdmissionCounters {
  /** Did not do in time what they were waited for. */
  late: number
  /** Gave way to newer ones. */
  crowdedOut: number
}

/** A connection that has not said yet what it wants. */
export interface Stranger {
  readonly socket: Socket
  readonly remote: Endpoint
  readonly source: SourceKey
  /** The next step begins, and its time. */
  nextStep(): void
  /** Somebody else minds it from now on. */
  leave(): void
}

export class Admission {
  readonly counters: AdmissionCounters = { late: 0, crowdedOut: 0 }
  readonly #table = new ShareTable<SourceKey, Socket>(MAX_STRANGERS)
  readonly #stepTimeoutMs: number

  constructor(stepTimeoutMs: number = STEP_TIMEOUT_MS) {
    this.#stepTimeoutMs = stepTimeoutMs
  }

  get size(): number {
    return this.#table.size
  }

  enter(socket: Socket): Stranger {
    const remote = remoteEndpointOf(socket)
    const source = sourceOf(remote.address)
    const turnAway = (): void => {
      this.counters.late += 1
      socket.destroy()
    }
    let step = setTimeout(turnAway, this.#stepTimeoutMs)
    const whole = setTimeout(turnAway, Math.min(WHOLE_TIMEOUT_MS, 2 * this.#stepTimeoutMs))
    const leave = (): void => {
      clearTimeout(step)
      clearTimeout(whole)
      this.#table.delete(socket)
    }
    socket.once('close', leave)
    const givesWay = this.#table.add(source, socket)
    if (givesWay !== undefined) {
      this.counters.crowdedOut += 1
      givesWay.destroy()
    }
    return {
      socket,
      remote,
      source,
      nextStep: () => {
        clearTimeout(step)
        if (this.#table.has(socket)) step = setTimeout(turnAway, this.#stepTimeoutMs)
      },
      leave,
    }
  }
}
