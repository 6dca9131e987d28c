/**
 * Inputs that are almost right: what a parser has to survive that reads what strangers, hubs, relays and routers
 * say. The same in every run, and a few that are new each time; a failure names the seed and the input.
 */

import { seededRandom } from './seeded-random.js'

const FIXED_SEED = 7
const FIXED_RUNS = 1500
const NEW_RUNS = 300
const MAX_CHANGES = 4
const EDGES: readonly number[] = [0, 1, 0x7f, 0x80, 0xff]
const WORDS: readonly string[] = [
  '',
  '\0',
  '\n',
  '"',
  '{',
  ']',
  '-1',
  '0',
  '1e309',
  '99999999999999999999',
  'null',
  '__proto__',
  '\u202e',
  '\ud800',
  '=',
  ':',
  '/129',
  'ÿ'.repeat(300),
]

/** A whole number below `limit`. */
type Choose = (limit: number) => number

/** `check` throws if the parser did what it must not. */
export function forMutatedBytes(examples: readonly Uint8Array[], check: (input: Uint8Array) => void): void {
  run(
    examples,
    (choose) => mutateBytes(examples, choose),
    check,
    (input) => Buffer.from(input).toString('hex'),
  )
}

export function forMutatedTexts(examples: readonly string[], check: (input: string) => void): void {
  run(
    examples,
    (choose) => mutateText(examples, choose),
    check,
    (input) => JSON.stringify(input),
  )
}

function run<T>(
  examples: readonly T[],
  mutate: (choose: Choose) => T,
  check: (input: T) => void,
  show: (input: T) => string,
): void {
  for (const example of examples) check(example)
  for (const [seed, runs] of [
    [FIXED_SEED, FIXED_RUNS],
    [Date.now() % 1_000_000, NEW_RUNS],
  ] as const) {
    const random = seededRandom(seed)
    const choose = (limit: number): number => {
      const [a = 0, b = 0, c = 0] = random(3)
      return ((a << 16) | (b << 8) | c) % Math.max(1, limit)
    }
    for (let i = 0; i < runs; i++) {
      const input = mutate(choose)
      try {
        check(input)
      } catch (error) {
        throw new Error(`seed ${seed}, run ${i}, input ${show(input)}: ${String(error)}`, { cause: error })
      }
    }
  }
}

function mutateBytes(examples: readonly Uint8Array[], choose: Choose): Uint8Array {
  let bytes = [...(examples[choose(examples.length)] ?? [])]
  for (let change = choose(MAX_CHANGES); change >= 0; change--) {
    const at = choose(bytes.length)
    const length = 1 + choose(8)
    switch (choose(7)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << choose(8))
        break
      case 1:
        bytes[at] = EDGES[choose(EDGES.length)] ?? 0
        break
      case 2:
        bytes.splice(at, length)
        break
      case 3:
        bytes.splice(at, 0, ...bytes.slice(at, at + length))
        break
      case 4:
        bytes.splice(at, 0, ...Array.from({ length }, () => choose(256)))
        break
      case 5:
        bytes = bytes.slice(0, at)
        break
      default: {
        const other = examples[choose(examples.length)] ?? new Uint8Array(0)
        bytes = [...bytes.slice(0, at), ...other.subarray(choose(other.length))]
      }
    }
  }
  return Uint8Array.from(bytes)
}

function mutateText(examples: readonly string[], choose: Choose): string {
  let text = examples[choose(examples.length)] ?? ''
  for (let change = choose(MAX_CHANGES); change >= 0; change--) {
    const at = choose(text.length)
    const end = at + 1 + choose(8)
    const other = examples[choose(examples.length)] ?? ''
    const from = choose(other.length)
    const inserts = [
      '',
      text.slice(at, end) + text.slice(at, end),
      WORDS[choose(WORDS.length)] ?? '',
      String.fromCharCode(choose(0x3000)),
      other.slice(from, from + 1 + choose(20)),
    ]
    text = text.slice(0, at) + inserts[choose(inserts.length)] + text.slice(choose(2) === 0 ? at : end)
  }
  return text
}
