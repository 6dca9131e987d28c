/** The two ways a command speaks: results on the standard output, everything else on the error output. */

import { AppError } from '../base/errors.js'
import { failureOf } from '../daemon/api-failure.js'

export interface Output {
  /** Machine-readable: one JSON value instead of text. */
  readonly isJson: boolean
  readonly isVerbose: boolean
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  printLine(JSON.stringify(value, undefined, 2))
}

/** A remark that is not the result. */
export function printNote(text: string): void {
  process.stderr.write(`${text}\n`)
}

/**
 * Ends the program when nobody takes its output: without a word if the reader has seen enough (`| head`),
 * else with the cause, such as a full disk.
 */
export function endWithoutOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    printNote(`overlay: cannot write to the standard output: ${error.code ?? error.message}`)
    process.exit(1)
  })
  process.stderr.on('error', () => undefined)
}

/** Message, then the hint on a line of its own; the stack only if asked for. */
export function printError(error: unknown, output: Output): void {
  if (output.isJson) {
    printJson(failureOf(error))
    return
  }
  const { message, hint } = failureOf(error).error
  printNote(`overlay: ${message}`)
  if (hint !== '') printNote(`  hint: ${hint}`)
  if (output.isVerbose || !(error instanceof AppError)) printNote(stackOf(error))
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const stack = error.stack ?? ''
  return error.cause === undefined ? stack : `${stack}\ncaused by: ${stackOf(error.cause)}`
}
