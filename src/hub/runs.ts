/**
 * Whether two machines use one identity. Each run of a node names itself at random in its hello. A node that was started
 * anew never comes back under an old name; so whoever does, after another has come, runs beside it.
 */

/** Of one node: of the runs before the present one. */
const MAX_EARLIER = 4

export class Runs {
  /** Identity → runs, the present one last. Of enrolled nodes only. */
  readonly #runs = new Map<string, string[]>()

  /** A run is let in: it is the present one. */
  admitted(identity: string, run: string): void {
    const earlier = (this.#runs.get(identity) ?? []).filter((one) => one !== run)
    this.#runs.set(identity, [...earlier.slice(-MAX_EARLIER), run])
  }

  isPresent(identity: string, run: string): boolean {
    return this.#runs.get(identity)?.at(-1) === run
  }

  /** Another one has come since. */
  isSuperseded(identity: string, run: string): boolean {
    return this.#runs.get(identity)?.slice(0, -1).includes(run) === true
  }

  forget(identity: string): void {
    this.#runs.delete(identity)
  }
}
