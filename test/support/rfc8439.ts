/**
 * ChaCha20-Poly1305 written straight from RFC 8439, slow and short: the twin that the providers are
 * held against. It takes the full 96-bit nonce, so the RFC's own vectors fit it.
 */

const P = (1n << 130n) - 5n
const CLAMP = 0x0ffffffc0ffffffc0ffffffc0fffffffn
/** Section 2.3: four columns, then four diagonals. */
const ROUNDS: readonly (readonly [number, number, number, number])[] = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
]

/** Section 2.8: ciphertext and tag. */
export function rfc8439Seal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associatedData: Uint8Array,
): Uint8Array {
  const ciphertext = new Uint8Array(plaintext.length)
  for (let at = 0; at < plaintext.length; at += 64) {
    const stream = chacha20Block(key, nonce, 1 + at / 64)
    for (let i = at; i < Math.min(at + 64, plaintext.length); i++) {
      ciphertext[i] = (plaintext[i] as number) ^ (stream[i - at] as number)
    }
  }
  const lengths = new DataView(new ArrayBuffer(16))
  lengths.setUint32(0, associatedData.length, true)
  lengths.setUint32(8, ciphertext.length, true)
  const authenticated = [...pad16(associatedData), ...pad16(ciphertext), ...new Uint8Array(lengths.buffer)]
  const tag = poly1305(chacha20Block(key, nonce, 0).subarray(0, 32), Uint8Array.from(authenticated))
  return Uint8Array.from([...ciphertext, ...tag])
}

/** Section 2.3.1 */
function chacha20Block(key: Uint8Array, nonce: Uint8Array, counter: number): Uint8Array {
  const words = new Uint32Array(16)
  words.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574])
  words.set(littleEndianWords(key), 4)
  words[12] = counter
  words.set(littleEndianWords(nonce), 13)
  const start = words.slice()
  for (let round = 0; round < 10; round++) for (const quarter of ROUNDS) quarterRound(words, quarter)
  const block = new DataView(new ArrayBuffer(64))
  for (let i = 0; i < 16; i++) block.setUint32(4 * i, (words[i] as number) + (start[i] as number), true)
  return new Uint8Array(block.buffer)
}

/** Section 2.1 */
function quarterRound(words: Uint32Array, [a, b, c, d]: readonly [number, number, number, number]): void {
  for (const [sum, term, mixed, bits] of [
    [a, b, d, 16],
    [c, d, b, 12],
    [a, b, d, 8],
    [c, d, b, 7],
  ] as const) {
    words[sum] = (words[sum] as number) + (words[term] as number)
    const difference = (words[mixed] as number) ^ (words[sum] as number)
    words[mixed] = (difference << bits) | (difference >>> (32 - bits))
  }
}

/** Section 2.5 */
function poly1305(key: Uint8Array, message: Uint8Array): Uint8Array {
  const r = littleEndianNumber(key.subarray(0, 16)) & CLAMP
  const s = littleEndianNumber(key.subarray(16))
  let sum = 0n
  for (let at = 0; at < message.length; at += 16) {
    const block = message.subarray(at, at + 16)
    sum = ((sum + littleEndianNumber(block) + (1n << BigInt(8 * block.length))) * r) % P
  }
  const tag = sum + s
  return Uint8Array.from({ length: 16 }, (_, i) => Number((tag >> BigInt(8 * i)) & 0xffn))
}

function pad16(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil(bytes.length / 16) * 16)
  padded.set(bytes)
  return padded
}

function littleEndianWords(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true))
}

function littleEndianNumber(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
}
