/** The standard input, for secrets that must not stand on a command line. */

import { readSync } from 'node:fs'

const STANDARD_INPUT = 0
const MAX_INPUT_BYTES = 4096
const LINE_END = 0x0a

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
    const count = readSync(STANDARD_INPUT, bytes, length, bytes.length - length, null)
    length += count
    const isOver = count === 0 || length === bytes.length
    if (isOver || isComplete(bytes.subarray(0, length))) return bytes.toString('utf8', 0, length)
  }
}
