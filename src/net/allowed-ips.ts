/**
 * Longest-prefix match from IP addresses to small numbers (peer slots), for both families.
 *
 * A path-compressed binary trie per family in typed arrays: a node stands for a prefix, its two
 * children for longer ones that differ in the first bit behind it. Nodes without a value are only
 * forks. Look-ups read addresses straight from packet bytes and allocate nothing.
 * INVARIANT: a fork has two children, so a family with n prefixes has at most 2n nodes and the root.
 */

import { maskPrefix, type Prefix } from './prefix.js'

const NONE = -1
const ROOT = 0
const FIRST_CAPACITY = 16

export class AllowedIps {
  readonly #v4: PrefixTrie = new PrefixTrie(4)
  readonly #v6: PrefixTrie = new PrefixTrie(16)

  /** `value`: 0 to 2^31 - 1; replaces the value of an equal prefix. */
  insert(prefix: Prefix, value: number): void {
    this.#trieOf(prefix.address.family).insert(maskPrefix(prefix).address.bytes, prefix.bits, value)
  }

  /** False if exactly this prefix is not in it. */
  remove(prefix: Prefix): boolean {
    return this.#trieOf(prefix.address.family).remove(maskPrefix(prefix).address.bytes, prefix.bits)
  }

  /** Value of the longest prefix that holds the address at `bytes[offset]`, or -1. */
  lookup(bytes: Uint8Array, offset: number, family: 4 | 6): number {
    return this.#trieOf(family).lookup(bytes, offset)
  }

  #trieOf(family: 4 | 6): PrefixTrie {
    return family === 4 ? this.#v4 : this.#v6
  }
}

class PrefixTrie {
  readonly #addressBytes: number
  /** `#addressBytes` per node. */
  #keys: Uint8Array
  /** Prefix length of each node. */
  #bits: Uint8Array
  #values: Int32Array
  /** Two per node: where the next bit is 0, and where it is 1. A free node's first is the next free one. */
  #children: Int32Array
  #used = 1
  #firstFree = NONE

  constructor(addressBytes: number) {
    this.#addressBytes = addressBytes
    this.#keys = new Uint8Array(FIRST_CAPACITY * addressBytes)
    this.#bits = new Uint8Array(FIRST_CAPACITY)
    this.#values = new Int32Array(FIRST_CAPACITY).fill(NONE)
    this.#children = new Int32Array(2 * FIRST_CAPACITY).fill(NONE)
  }

  lookup(bytes: Uint8Array, offset: number): number {
    let best = NONE
    let node = ROOT
    let matchedBits = 0
    while (node !== NONE && this.#matches(node, bytes, offset, matchedBits)) {
      const value = this.#values[node] as number
      if (value !== NONE) best = value
      matchedBits = this.#bits[node] as number
      if (matchedBits === 8 * this.#addressBytes) break
      node = this.#children[2 * node + bitAt(bytes, offset, matchedBits)] as number
    }
    return best
  }

  /** Whether the node's prefix holds the address, of which the first `matchedBits` are known to agree. */
  #matches(node: number, bytes: Uint8Array, offset: number, matchedBits: number): boolean {
    const bits = this.#bits[node] as number
    const key = node * this.#addressBytes
    const whole = bits >> 3
    for (let i = matchedBits >> 3; i < whole; i++) if (this.#keys[key + i] !== bytes[offset + i]) return false
    if ((bits & 7) === 0) return true
    const difference = (this.#keys[key + whole] as number) ^ (bytes[offset + whole] as number)
    return difference >> (8 - (bits & 7)) === 0
  }

  /** `key`: host bits zero. */
  insert(key: Uint8Array, bits: number, value: number): void {
    let link = NONE
    let node = ROOT
    let common = 0
    while (node !== NONE) {
      const nodeBits = this.#bits[node] as number
      common = this.#commonBits(node, key, Math.min(nodeBits, bits))
      if (common < nodeBits) break
      if (nodeBits === bits) {
        this.#values[node] = value
        return
      }
      link = 2 * node + bitAt(key, 0, nodeBits)
      node = this.#children[link] as number
    }
    const leaf = this.#allocate(key, bits, value)
    this.#children[link] = leaf
    if (node === NONE) return
    if (common === bits) {
      this.#children[2 * leaf + this.#keyBit(node, bits)] = node
      return
    }
    const fork = this.#allocate(key, common, NONE)
    this.#children[link] = fork
    this.#children[2 * fork + bitAt(key, 0, common)] = leaf
    this.#children[2 * fork + this.#keyBit(node, common)] = node
  }

  remove(key: Uint8Array, bits: number): boolean {
    let linkToParent = NONE
    let link = NONE
    let node = ROOT
    while (node !== NONE) {
      const nodeBits = this.#bits[node] as number
      if (nodeBits > bits || this.#commonBits(node, key, nodeBits) < nodeBits) return false
      if (nodeBits === bits) break
      linkToParent = link
      link = 2 * node + bitAt(key, 0, nodeBits)
      node = this.#children[link] as number
    }
    if (node === NONE || this.#values[node] === NONE) return false
    this.#values[node] = NONE
    if (link !== NONE) this.#dropIfIdle(link)
    if (linkToParent !== NONE) this.#dropIfIdle(linkToParent)
    return true
  }

  /** Takes out the node behind a link if it has no value and no two children to tell apart. */
  #dropIfIdle(link: number): void {
    const node = this.#children[link] as number
    if (node === NONE || this.#values[node] !== NONE) return
    const zero = this.#children[2 * node] as number
    const one = this.#children[2 * node + 1] as number
    if (zero !== NONE && one !== NONE) return
    this.#children[link] = zero === NONE ? one : zero
    this.#children[2 * node] = this.#firstFree
    this.#firstFree = node
  }

  #allocate(key: Uint8Array, bits: number, value: number): number {
    const node = this.#takeNode()
    this.#keys.set(key, node * this.#addressBytes)
    this.#bits[node] = bits
    this.#values[node] = value
    this.#children.fill(NONE, 2 * node, 2 * node + 2)
    return node
  }

  #takeNode(): number {
    if (this.#firstFree !== NONE) {
      const node = this.#firstFree
      this.#firstFree = this.#children[2 * node] as number
      return node
    }
    if (this.#used === this.#bits.length) this.#grow()
    return this.#used++
  }

  #grow(): void {
    const { length } = this.#bits
    this.#keys = doubled(this.#keys, new Uint8Array(2 * length * this.#addressBytes))
    this.#bits = doubled(this.#bits, new Uint8Array(2 * length))
    this.#values = doubled(this.#values, new Int32Array(2 * length))
    this.#children = doubled(this.#children, new Int32Array(4 * length))
  }

  /** How many leading bits of the node's key and `key` agree, at most `limit`. */
  #commonBits(node: number, key: Uint8Array, limit: number): number {
    const at = node * this.#addressBytes
    for (let i = 0; 8 * i < limit; i++) {
      const difference = (this.#keys[at + i] as number) ^ (key[i] as number)
      if (difference !== 0) return Math.min(limit, 8 * i + Math.clz32(difference) - 24)
    }
    return limit
  }

  #keyBit(node: number, bit: number): 0 | 1 {
    return bitAt(this.#keys, node * this.#addressBytes, bit)
  }
}

/** Bit `bit` of the address at `offset`, counted from its front. */
function bitAt(bytes: Uint8Array, offset: number, bit: number): 0 | 1 {
  return (((bytes[offset + (bit >> 3)] as number) >> (7 - (bit & 7))) & 1) as 0 | 1
}

function doubled<A extends Uint8Array | Int32Array>(old: A, larger: A): A {
  larger.set(old)
  return larger
}
