/**
 * A queue bounded in bytes that serves its senders in turn, however much each of them has sent: deficit round
 * robin (Shreedhar and Varghese, SIGCOMM 1995). When it is full, the sender with most in it loses its oldest
 * item: who sends little loses nothing to those who send much.
 */

export interface Sized {
  /** In bytes. */
  readonly length: number
}

/** What a sender may take out per turn, so that size does not buy a larger share. */
const QUANTUM_BYTES = 16 * 1024
/** What a small item costs beside its bytes, so that many of them are bounded too. */
const OVERHEAD_BYTES = 128

class Lane<T> {
  readonly items: T[] = []
  /** Items before it were taken; they leave the array when they are the half of it. */
  #first = 0
  sizeBytes = 0
  creditBytes = 0

  get head(): T | undefined {
    return this.items[this.#first]
  }

  drop(): void {
    this.#first += 1
    if (2 * this.#first < this.items.length) return
    this.items.splice(0, this.#first)
    this.#first = 0
  }
}

export class FairQueue<T extends Sized> {
  readonly #maxBytes: number
  /** By sender, whose turn it is first. */
  readonly #lanes = new Map<number, Lane<T>>()
  #sizeBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Returns the number of items that gave way, perhaps this one. */
  push(item: T, sender: number): number {
    const lane = this.#lanes.get(sender) ?? new Lane<T>()
    this.#lanes.set(sender, lane)
    lane.items.push(item)
    this.#grow(lane, costOf(item))
    let dropped = 0
    while (this.#sizeBytes > this.#maxBytes) {
      const [loser, longest] = this.#longest(sender, lane)
      this.#take(loser, longest)
      dropped += 1
    }
    return dropped
  }

  shift(): T | undefined {
    for (;;) {
      const [first] = this.#lanes
      if (first === undefined) return undefined
      const [sender, lane] = first
      const { head } = lane
      if (head !== undefined && lane.creditBytes >= costOf(head)) {
        lane.creditBytes -= costOf(head)
        return this.#take(sender, lane)
      }
      lane.creditBytes += QUANTUM_BYTES
      this.#lanes.delete(sender)
      this.#lanes.set(sender, lane)
    }
  }

  #take(sender: number, lane: Lane<T>): T | undefined {
    const { head } = lane
    lane.drop()
    if (head !== undefined) this.#grow(lane, -costOf(head))
    if (lane.head === undefined) this.#lanes.delete(sender)
    return head
  }

  #grow(lane: Lane<T>, bytes: number): void {
    lane.sizeBytes += bytes
    this.#sizeBytes += bytes
  }

  #longest(sender: number, lane: Lane<T>): [number, Lane<T>] {
    let longest: [number, Lane<T>] = [sender, lane]
    for (const entry of this.#lanes) if (entry[1].sizeBytes > longest[1].sizeBytes) longest = entry
    return longest
  }
}

function costOf({ length }: Sized): number {
  return length + OVERHEAD_BYTES
}
