/** Over which paths handshakes with a managed peer go, and how long an answer is waited for. Sans-IO. */

import { leadsAlike, type Path } from '../net/path.js'
import { MANAGED_RETRY_MS, REKEY_TIMEOUT_MS } from './constants.js'

export interface HandshakePaths {
  /** All of them carry the same message; none: they go where data goes. */
  readonly paths: readonly Path[]
  /** Before an unanswered initiation is begun anew, the first time. */
  readonly patienceMs: number
}

export class HandshakeWays {
  #chosen: HandshakePaths = { paths: [], patienceMs: MANAGED_RETRY_MS }

  /** They are chosen apart from the path that data takes. */
  get areApart(): boolean {
    return this.#chosen.paths.length > 0
  }

  /** `current`: where data goes. Gives those that were not there before. */
  choose(chosen: HandshakePaths, current: Path | undefined): Path[] {
    const before = this.from(current)
    this.#chosen = chosen
    return this.from(current).filter((path) => !before.some((other) => leadsAlike(other, path)))
  }

  from(current: Path | undefined): readonly Path[] {
    return this.areApart || current === undefined ? this.#chosen.paths : [current]
  }

  /** An answer goes the way that the question came, and over all that were chosen: one may be lost. */
  back(path: Path): Path[] {
    return [path, ...this.#chosen.paths.filter((other) => !leadsAlike(other, path))]
  }

  /** `before`: for the initiation that was not answered; 0 if there was none, or the ways are others now. */
  patienceMs(before: number): number {
    return Math.min(REKEY_TIMEOUT_MS, Math.max(2 * before, this.#chosen.patienceMs))
  }
}
