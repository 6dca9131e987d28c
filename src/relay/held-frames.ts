/**
 * Data for peers that no relay leads to now: the newest few frames of each are kept, and sent the moment that one
 * does. Sans-IO.
 *
 * What TCP inside the tunnel repeats while its way is cut comes ever more seldom. Kept here, the latest repetition
 * reaches the other side as soon as the way is back, and its answer lets the stream go on; without it the
 * stream stands for as long again as the way was cut.
 *
 * What was sent stays for a while, because the relay may not know the peer yet. Twice is no harm: the receiver
 * knows a sealed message that it had already.
 */

const MAX_FRAMES = 128
const MAX_BYTES: number = 192 * 1024
const MAX_TOTAL_BYTES: number = 4 * 1024 * 1024
/** TCP repeats itself once in that time, if its way was cut for half of it. */
const MAX_AGE_MS = 60_000
/** A relay that does not know a peer says so within this time. */
const REFUSAL_MS = 2000

interface Held<T> {
  readonly item: T
  readonly sizeBytes: number
  readonly atMs: number
}

interface Queue<T> {
  items: Held<T>[]
  sizeBytes: number
  /** When all of it was sent; undefined if it waits. */
  sentMs: number | undefined
}

export class HeldFrames<T> {
  /** The one that was added to last is last. */
  readonly #queues = new Map<string, Queue<T>>()
  #totalBytes = 0
  /** Frames that gave way, or waited for too long. */
  dropped = 0

  /** Peers for whom something waits. */
  get waiting(): string[] {
    return [...this.#queues].filter(([, { sentMs }]) => sentMs === undefined).map(([peer]) => peer)
  }

  hold(peer: string, item: T, sizeBytes: number, nowMs: number): void {
    const before = this.#queues.get(peer)
    if (before?.sentMs !== undefined) this.#forget(peer)
    const queue = this.#queues.get(peer) ?? { items: [], sizeBytes: 0, sentMs: undefined }
    this.#queues.delete(peer)
    this.#queues.set(peer, queue)
    queue.items.push({ item, sizeBytes, atMs: nowMs })
    queue.sizeBytes += sizeBytes
    this.#totalBytes += sizeBytes
    while (queue.items.length > MAX_FRAMES || queue.sizeBytes > MAX_BYTES) this.#dropOldest(queue)
    for (const [oldest, { items }] of this.#queues) {
      if (this.#totalBytes <= MAX_TOTAL_BYTES) break
      this.dropped += items.length
      this.#forget(oldest)
    }
  }

  /** Returns what waits for the peer, oldest first: it is about to be sent. */
  send(peer: string, nowMs: number): T[] {
    const queue = this.#queues.get(peer)
    if (queue === undefined || queue.sentMs !== undefined) return []
    while ((queue.items[0]?.atMs ?? nowMs) < nowMs - MAX_AGE_MS) this.#dropOldest(queue)
    queue.sentMs = nowMs
    for (const [sent, { sentMs = nowMs }] of this.#queues) if (nowMs - sentMs > REFUSAL_MS) this.#forget(sent)
    return queue.items.map(({ item }) => item)
  }

  /** A relay does not know the peer: what was just sent waits again. */
  handleRefused(peer: string, nowMs: number): void {
    const queue = this.#queues.get(peer)
    if (queue?.sentMs !== undefined && nowMs - queue.sentMs <= REFUSAL_MS) queue.sentMs = undefined
  }

  /** They have arrived. */
  remove(isArrived: (item: T) => boolean): void {
    for (const [peer, queue] of this.#queues) {
      const left = queue.items.filter(({ item }) => !isArrived(item))
      const leftBytes = left.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      this.#totalBytes -= queue.sizeBytes - leftBytes
      queue.items = left
      queue.sizeBytes = leftBytes
      if (left.length === 0) this.#queues.delete(peer)
    }
  }

  #dropOldest(queue: Queue<T>): void {
    const oldest = queue.items.shift()
    if (oldest === undefined) return
    queue.sizeBytes -= oldest.sizeBytes
    this.#totalBytes -= oldest.sizeBytes
    this.dropped += 1
  }

  #forget(peer: string): void {
    this.#totalBytes -= this.#queues.get(peer)?.sizeBytes ?? 0
    this.#queues.delete(peer)
  }
}
