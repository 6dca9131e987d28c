/** Goes over the paths of all peers when routes or addresses changed: some at a time, so that packets do not wait. */

import type { Path } from '../net/path.js'
import type { Effects } from '../wireguard/effects.js'
import type { OuterPaths } from './outer-paths.js'

/** Each may cost a question to the kernel, some 10 µs. */
const SLOTS_PER_TURN = 256
/** A peer that did not hear of the new address yet goes on writing to the one before. */
const SOON_MS = 50

export interface ReviewedPeers {
  /** The path of a peer is to be used in another way. */
  setPath(slot: number, path: Path | undefined): void
  /** The address that a peer wrote to is not to be used any more. */
  forgetLocalAddress(slot: number, effects: Effects): void
}

export class PathReview {
  readonly #paths: OuterPaths
  readonly #peers: ReviewedPeers
  #waiting: number[] = []
  readonly #soon = new Set<number>()
  #nextMs = Number.POSITIVE_INFINITY

  constructor(paths: OuterPaths, peers: ReviewedPeers) {
    this.#paths = paths
    this.#peers = peers
  }

  /** Infinity if nothing is to be done. */
  get nextDeadlineMs(): number {
    return this.#nextMs
  }

  /** All of them, the first at once. */
  start(nowMs: number, effects: Effects): void {
    this.#waiting = this.#paths.slots
    this.#nextMs = nowMs
    this.handleTimeout(nowMs, effects)
  }

  /** One of them, a little later. */
  addSoon(slot: number, nowMs: number): void {
    this.#soon.add(slot)
    this.#nextMs = Math.min(this.#nextMs, nowMs + SOON_MS)
  }

  handleTimeout(nowMs: number, effects: Effects): void {
    if (nowMs < this.#nextMs) return
    const slots = [...this.#soon, ...this.#waiting.splice(0, SLOTS_PER_TURN)]
    this.#soon.clear()
    this.#nextMs = this.#waiting.length > 0 ? nowMs : Number.POSITIVE_INFINITY
    for (const slot of slots) this.#review(slot, effects)
  }

  #review(slot: number, effects: Effects): void {
    if (this.#paths.forgetMoved(slot)) this.#peers.forgetLocalAddress(slot, effects)
    const changed = this.#paths.review(slot)
    if (changed !== undefined) this.#peers.setPath(slot, changed.path)
  }
}
