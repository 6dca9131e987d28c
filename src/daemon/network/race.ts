/** Several ways to one goal, begun one after the other: the first that gets there wins, the others end. */

import { GIVEN_UP } from '../../platform/dial.js'

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
  const starts: (() => void)[] = []
  let isWon = false
  try {
    return await new Promise<Winner<T>>((resolve, reject) => {
      const fail = (name: string, error: unknown): void => {
        const reason = error instanceof Error ? error.message : String(error)
        failures.push(new Error(`${name}: ${reason}`, { cause: error }))
        if (failures.length === attempts.length) reject(new AggregateError(failures, describe(failures)))
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

function describe(failures: readonly Error[]): string {
  return failures.map((failure) => failure.message).join('; ')
}
