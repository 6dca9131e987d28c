import { tryParseHex } from '../../src/base/bytes.js'

/** Bytes of a hex literal; white space is for the reader. */
export function hex(text: string): Uint8Array {
  const bytes = tryParseHex(text.replace(/\s/g, ''))
  if (bytes === undefined) throw new Error(`not hex: ${text}`)
  return bytes
}

/** 0, 1, 2 … */
export function countingBytes(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i)
}
