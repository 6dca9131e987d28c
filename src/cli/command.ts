/**
 * What a command is: words for the help, options, and a function. One table of plain data serves the
 * parser, the help and the suggestions for mistyped words.
 *
 * Heavy parts are imported inside `run`: a command must not pay for what others need.
 */

import type { Output } from './output.js'

/** A flag, given or not; or, with `value`, an option that takes one. */
export interface CommandOption {
  readonly about: string
  readonly alias?: string
  /** What the help calls the value. */
  readonly value?: string
}

export interface CommandInput {
  /** Positional arguments after the command's name. */
  readonly words: readonly string[]
  /** Whether a flag was given. */
  has(option: string): boolean
  /** Of an option that takes one; the last counts. */
  value(option: string): string | undefined
  readonly output: Output
}

export interface Command {
  readonly name: string
  /** Positional arguments in yargs' notation, such as `[target]` or `<servers..>`; empty if there are none. */
  readonly positionals: string
  readonly about: string
  readonly options: Readonly<Record<string, CommandOption>>
  /** Command line and what it does. */
  readonly examples: readonly (readonly [line: string, about: string])[]
  /** Gives the exit code, 0 if undefined. */
  readonly run: (input: CommandInput) => Promise<number | undefined>
}

/** Every command takes these. */
export const GLOBAL_OPTIONS: Readonly<Record<string, CommandOption>> = {
  json: { about: 'print JSON with stable fields' },
  verbose: { about: 'print more, log more', alias: 'v' },
}

/** First word of a daemon in the background (background.ts); no command has this name. */
export const BACKGROUND_WORD = '__daemon'
