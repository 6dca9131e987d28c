/** Several ways to one goal, begun one after the other: the first that gets there wins, the others end. */

import { GIVEN_UP, isProxyRefusal } from '../../platform/dial.js'

/** A network with a proxy lets nothing else out, as a rule: the other ways get this long when it says no. */
const REFUSED_PATIENCE_MS = 2000

export interface Attempt<T> {
  readonly name: string
  /** After the race began; at once if all begun before have failed. */
  readonly delayMs: number
  readonly run: (signal: AbortSignal) => Promise<T>
}

export interface Winner<T> {
  readonly name: string
  readonly value: T
}

/** Rejects with an AggregateError if none wins in time. `dispose`: of those who come after the winner. */
export async function race<T>(
  attempts: readonly Attempt<T>[],
  options: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly dispose: (value: T) => void },
): Promise<Winner<T>> {
  const abort = new AbortController()
  const signal = AbortSignal.any([abort.signal, options.signal, AbortSignal.timeout(options.timeoutMs)])
  const failures: Error[] = []
  const namesByReason = new Map<string, readonly string[]>()
  const starts: (() => void)[] = []
  let isWon = false
  let lastCall: NodeJS.Timeout | undefined
  try {
    return await new Promise<Winner<T>>((resolve, reject) => {
      const fail = (name: string, error: unknown): void => {
        const reason = error instanceof Error ? error.message : String(error)
        failures.push(new Error(reason, { cause: error }))
        const names = namesByReason.get(reason) ?? []
        namesByReason.set(reason, [...names, name])
        if (isProxyRefusal(reason)) lastCall ??= setTimeout(() => abort.abort(), REFUSED_PATIENCE_MS)
        if (failures.length === attempts.length) reject(new AggregateError(failures, describe(namesByReason)))
        else starts.shift()?.()
      }
      for (const { name, delayMs, run } of attempts) {
        let isBegun = false
        const begin = (): void => {
          if (isBegun || isWon) return
          isBegun = true
          run(signal).then(
            (value) => {
              if (isWon) options.dispose(value)
              else {
                isWon = true
                resolve({ name, value })
              }
            },
            (error: unknown) => fail(name, error),
          )
        }
        if (delayMs === 0) begin()
        else {
          starts.push(begin)
          const timer = setTimeout(begin, delayMs)
          signal.addEventListener('abort', () => {
            clearTimeout(timer)
            begin()
          })
        }
      }
    })
  } finally {
    isWon = true
    clearTimeout(lastCall)
    abort.abort()
  }
}

/** Codes of errors that say that nobody answered. */
const SILENCE: readonly string[] = [
  GIVEN_UP,
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
]

/** Whether somebody answered one of the attempts, if not whom was wanted. `error`: of `race`. */
export function wasAnswered(error: unknown): boolean {
  if (!(error instanceof AggregateError)) return false
  return error.errors.some(({ cause }: Error) => {
    const { code } = cause as NodeJS.ErrnoException
    return code === undefined || !SILENCE.includes(code)
  })
}

function describe(namesByReason: ReadonlyMap<string, readonly string[]>): string {
  return [...namesByReason].map(([reason, names]) => `${names.join(', ')}: ${reason}`).join('; ')
}
