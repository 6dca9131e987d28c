/** The standard input, for secrets that must not stand on a command line. */

import { readSync } from 'node:fs'

const STANDARD_INPUT = 0
const MAX_INPUT_BYTES = 4096

export function readInput(): string {
  const bytes = Buffer.alloc(MAX_INPUT_BYTES)
  let length = 0
  for (;;) {
    const count = readSync(STANDARD_INPUT, bytes, length, bytes.length - length, null)
    length += count
    if (count === 0 || length === bytes.length) return bytes.toString('utf8', 0, length)
  }
}
