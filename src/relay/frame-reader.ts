/** A stream of bytes -> relay frames (frames.ts). */

import { FRAME_HEADER_BYTES, type RawFrame } from './frames.js'

/**
 * Cuts a stream into frames. Frames that lie whole in one chunk are not copied. What is cut by the end of a
 * chunk waits in a buffer that grows with what has come, not with what a header promises, and so costs a
 * sender as much as it costs us.
 */
export class FrameReader {
  #buffer = new Uint8Array(0)
  #filled = 0

  /** Calls `onFrame` for each frame that is whole now. `chunk`: the frames point into it. */
  push(chunk: Uint8Array, onFrame: (frame: RawFrame) => void): void {
    let rest = chunk
    while (this.#filled > 0 && rest.length > 0) {
      const wanted = missingBytes(this.#buffer, this.#filled)
      this.#append(rest.subarray(0, wanted))
      rest = rest.subarray(wanted)
      if (this.#filled < FRAME_HEADER_BYTES || missingBytes(this.#buffer, this.#filled) > 0) continue
      const bytes = this.#buffer.subarray(0, this.#filled)
      this.#buffer = new Uint8Array(0)
      this.#filled = 0
      onFrame({ type: bytes[0] as number, bytes })
    }
    while (rest.length >= FRAME_HEADER_BYTES && missingBytes(rest, rest.length) <= 0) {
      const end = FRAME_HEADER_BYTES + bodyLength(rest)
      onFrame({ type: rest[0] as number, bytes: rest.subarray(0, end) })
      rest = rest.subarray(end)
    }
    if (rest.length > 0) this.#append(rest)
  }

  /** Of a frame that is not whole yet. */
  get waitingBytes(): number {
    return this.#filled
  }

  #append(bytes: Uint8Array): void {
    const filled = this.#filled + bytes.length
    if (filled > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(filled, 2 * this.#buffer.length))
      grown.set(this.#buffer.subarray(0, this.#filled))
      this.#buffer = grown
    }
    this.#buffer.set(bytes, this.#filled)
    this.#filled = filled
  }
}

/** Until the header, then until the frame is whole; 0 or less if more is there. */
function missingBytes(bytes: Uint8Array, filled: number): number {
  if (filled < FRAME_HEADER_BYTES) return FRAME_HEADER_BYTES - filled
  return FRAME_HEADER_BYTES + bodyLength(bytes) - filled
}

function bodyLength(bytes: Uint8Array): number {
  return ((bytes[1] as number) << 8) | (bytes[2] as number)
}
