/** The standard input, for secrets that must not stand on a command line. */

import { readSync } from 'node:fs'
import { isatty } from 'node:tty'

const STANDARD_INPUT = 0
const MAX_INPUT_BYTES = 4096
const LINE_END = 0x0a
const RETRY_MS = 20

/** Not by `process.stdin`: whoever touches that makes a pipe non-blocking, and what comes late is missed. */
export function isTerminal(): boolean {
  return isatty(STANDARD_INPUT)
}

export function readInput(): string {
  return read(() => false)
}

/** Of a person at a terminal. */
export function readTypedLine(): string {
  return read((bytes) => bytes.includes(LINE_END))
}

function read(isComplete: (bytes: Buffer) => boolean): string {
  const bytes = Buffer.alloc(MAX_INPUT_BYTES)
  let length = 0
  for (;;) {
    const count = readSome(bytes.subarray(length))
    length += count
    const isOver = count === 0 || length === bytes.length
    if (isOver || isComplete(bytes.subarray(0, length))) return bytes.toString('utf8', 0, length)
  }
}

/** Waits for the input also where whoever started us made it non-blocking. */
function readSome(room: Buffer): number {
  for (;;) {
    try {
      return readSync(STANDARD_INPUT, room, 0, room.length, null)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
    }
  }
}
