/**
 * A bounded table that strangers fill. When it is full, the oldest entry of whoever holds most gives way, so
 * that a flood from one source pushes out itself. Entries can be taken out in turns, one source after the other.
 *
 * Everything costs the same however many entries and sources there are.
 */

export class ShareTable<Source, Entry> {
  readonly #maxEntries: number
  readonly #entries = new Map<Entry, Source>()
  /** In the order of their turns; each with its entries, the oldest first. */
  readonly #sources = new Map<Source, Set<Entry>>()
  /** Number of entries → who holds so many, in the order in which they got there. */
  readonly #holders = new Map<number, Set<Source>>()
  #most = 0

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  get size(): number {
    return this.#entries.size
  }

  /** The oldest first. */
  get entries(): Iterable<Entry> {
    return this.#entries.keys()
  }

  has(entry: Entry): boolean {
    return this.#entries.has(entry)
  }

  /** Gives the entry that has to give way, out of the table already. `entry` is not in it yet. */
  add(source: Source, entry: Entry): Entry | undefined {
    this.#entries.set(entry, source)
    const own = this.#sources.get(source)
    if (own === undefined) this.#sources.set(source, new Set([entry]))
    else own.add(entry)
    this.#recount(source, (own?.size ?? 1) - 1, own?.size ?? 1)
    return this.#entries.size > this.#maxEntries ? this.#takeFrom(this.#busiest()) : undefined
  }

  /** False if it was not there. */
  delete(entry: Entry): boolean {
    const source = this.#entries.get(entry)
    if (source === undefined || !this.#entries.delete(entry)) return false
    const own = this.#sources.get(source)
    if (own === undefined) return false
    own.delete(entry)
    if (own.size === 0) this.#sources.delete(source)
    this.#recount(source, own.size + 1, own.size)
    return true
  }

  /** Takes out the oldest entry of the source whose turn it is; undefined if there is none. */
  shift(): Entry | undefined {
    const [turn] = this.#sources
    if (turn === undefined) return undefined
    const [source, own] = turn
    this.#sources.delete(source)
    this.#sources.set(source, own)
    return this.#takeFrom(source)
  }

  #takeFrom(source: Source | undefined): Entry | undefined {
    const [oldest] = source === undefined ? [] : (this.#sources.get(source) ?? [])
    if (oldest !== undefined) this.delete(oldest)
    return oldest
  }

  #busiest(): Source | undefined {
    const [source] = this.#holders.get(this.#most) ?? []
    return source
  }

  #recount(source: Source, before: number, after: number): void {
    const left = this.#holders.get(before)
    left?.delete(source)
    if (left?.size === 0) this.#holders.delete(before)
    if (after > 0) {
      const joined = this.#holders.get(after)
      if (joined === undefined) this.#holders.set(after, new Set([source]))
      else joined.add(source)
    }
    if (after > this.#most || (before === this.#most && !this.#holders.has(before))) this.#most = after
  }
}
