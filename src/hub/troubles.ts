/**
 * What keeps going wrong with a node, for whoever runs the network: the latest of each kind, counted, until an
 * hour has passed without it. The audit record hears of it when it begins, and once an hour while it lasts.
 * INVARIANT: only enrolled nodes have an entry.
 */

/** How long it is told after it happened last, and how seldom it is recorded again. */
const MEMORY_MS: number = 3600_000

export type TroubleKind = 'rateLimited' | 'elsewhere'

interface Trouble {
  text: string
  count: number
  lastAtMs: number
  recordedAtMs: number
}

export class Troubles {
  readonly #nowMs: () => number
  readonly #byNode = new Map<string, Map<TroubleKind, Trouble>>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** How often it has happened; and, if it is to be recorded now, in which words. */
  happened(
    identity: string,
    kind: TroubleKind,
    text: string,
  ): { readonly count: number; readonly record: string | undefined } {
    const nowMs = this.#nowMs()
    const own = this.#byNode.get(identity) ?? new Map<TroubleKind, Trouble>()
    this.#byNode.set(identity, own)
    const before = own.get(kind)
    const isSame = before !== undefined && nowMs - before.lastAtMs < MEMORY_MS
    const trouble = isSame
      ? before
      : { text, count: 0, lastAtMs: nowMs, recordedAtMs: Number.NEGATIVE_INFINITY }
    own.set(kind, trouble)
    trouble.text = text
    trouble.count += 1
    trouble.lastAtMs = nowMs
    if (nowMs - trouble.recordedAtMs < MEMORY_MS) return { count: trouble.count, record: undefined }
    trouble.recordedAtMs = nowMs
    return { count: trouble.count, record: inWords(trouble) }
  }

  /** Undefined if nothing went wrong lately. */
  describe(identity: string): string | undefined {
    const sinceMs = this.#nowMs() - MEMORY_MS
    const lately = [...(this.#byNode.get(identity)?.values() ?? [])].filter(
      ({ lastAtMs }) => lastAtMs > sinceMs,
    )
    return lately.length === 0 ? undefined : lately.map(inWords).join('; ')
  }

  forget(identity: string): void {
    this.#byNode.delete(identity)
  }
}

function inWords({ text, count }: Trouble): string {
  return count === 1 ? text : `${text}, ${count} times`
}
