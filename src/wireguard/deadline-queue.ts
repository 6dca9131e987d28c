/**
 * Who wants to be called when: a binary heap of deadlines, one per item, so that a device with many
 * peers looks at those alone that are due. Knows no clock.
 *
 * INVARIANT: `#positions` holds the index of every item in `#heap`, and no entry is earlier than its
 * parent at half its index.
 */

interface Entry<T> {
  readonly item: T
  readonly deadlineMs: number
}

export class DeadlineQueue<T> {
  readonly #heap: Entry<T>[] = []
  readonly #positions = new Map<T, number>()

  /** The earliest deadline; Infinity if there is none. */
  get nextMs(): number {
    return this.#heap[0]?.deadlineMs ?? Number.POSITIVE_INFINITY
  }

  /** Replaces the deadline of `item`; Infinity takes it out. */
  set(item: T, deadlineMs: number): void {
    const at = this.#positions.get(item)
    if (deadlineMs === Number.POSITIVE_INFINITY) {
      if (at !== undefined) this.#removeAt(at)
      return
    }
    if (at === undefined) this.#rise(this.#heap.length, { item, deadlineMs })
    else this.#place(at, { item, deadlineMs })
  }

  delete(item: T): void {
    this.set(item, Number.POSITIVE_INFINITY)
  }

  /** Takes out the item with the earliest deadline if that is not after `nowMs`. */
  takeDue(nowMs: number): T | undefined {
    const first = this.#heap[0]
    if (first === undefined || first.deadlineMs > nowMs) return undefined
    this.#removeAt(0)
    return first.item
  }

  #removeAt(at: number): void {
    const removed = this.#heap[at]
    const last = this.#heap.pop()
    if (removed === undefined || last === undefined) return
    this.#positions.delete(removed.item)
    if (removed !== last) this.#place(at, last)
  }

  /** `at`: a hole, or where the entry's item was. */
  #place(at: number, entry: Entry<T>): void {
    const parent = this.#heap[parentOf(at)]
    if (at > 0 && parent !== undefined && parent.deadlineMs > entry.deadlineMs) this.#rise(at, entry)
    else this.#sink(at, entry)
  }

  #rise(from: number, entry: Entry<T>): void {
    let at = from
    while (at > 0) {
      const parent = this.#heap[parentOf(at)]
      if (parent === undefined || parent.deadlineMs <= entry.deadlineMs) break
      this.#put(at, parent)
      at = parentOf(at)
    }
    this.#put(at, entry)
  }

  #sink(from: number, entry: Entry<T>): void {
    let at = from
    for (;;) {
      const left = this.#heap[2 * at + 1]
      const right = this.#heap[2 * at + 2]
      const isRightFirst = right !== undefined && left !== undefined && right.deadlineMs < left.deadlineMs
      const child = isRightFirst ? right : left
      if (child === undefined || child.deadlineMs >= entry.deadlineMs) break
      this.#put(at, child)
      at = 2 * at + (isRightFirst ? 2 : 1)
    }
    this.#put(at, entry)
  }

  #put(at: number, entry: Entry<T>): void {
    this.#heap[at] = entry
    this.#positions.set(entry.item, at)
  }
}

function parentOf(at: number): number {
  return (at - 1) >> 1
}
