/**
 * What waits to be written to one client of a relay: control ahead of data, each bounded, the oldest
 * giving way. Old data is worth nothing to a tunnel, and one slow client must not hold back others or
 * fill the memory.
 */

/** About 50 ms of data at 40 Mbit/s: a longer queue only adds delay. */
const MAX_DATA_BYTES = 256 * 1024
/** Hundreds of handshakes and probes. */
const MAX_CONTROL_BYTES = 64 * 1024
/** What a small frame costs beside its bytes, so that many of them are bounded too. */
const OVERHEAD_BYTES = 128

/** A queue bounded in bytes. A map keeps its order and takes from either end without moving the rest. */
class Lane {
  readonly #maxBytes: number
  readonly #frames = new Map<number, Uint8Array>()
  #sizeBytes = 0
  #next = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Gives the number of frames that gave way. */
  push(frame: Uint8Array): number {
    this.#frames.set(this.#next, frame)
    this.#next += 1
    this.#sizeBytes += frame.length + OVERHEAD_BYTES
    let dropped = 0
    while (this.#sizeBytes > this.#maxBytes && this.shift() !== undefined) dropped += 1
    return dropped
  }

  shift(): Uint8Array | undefined {
    const [entry] = this.#frames
    if (entry === undefined) return undefined
    const [number, frame] = entry
    this.#frames.delete(number)
    this.#sizeBytes -= frame.length + OVERHEAD_BYTES
    return frame
  }
}

export class Outbox {
  readonly #control = new Lane(MAX_CONTROL_BYTES)
  readonly #data = new Lane(MAX_DATA_BYTES)

  /** `frame` is kept. Gives the number of frames that gave way, perhaps this one. */
  push(frame: Uint8Array, isControl: boolean): number {
    return (isControl ? this.#control : this.#data).push(frame)
  }

  /** The next to be written. */
  shift(): Uint8Array | undefined {
    return this.#control.shift() ?? this.#data.shift()
  }
}
