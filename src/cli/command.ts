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
  /** What counts where it is not given, in words. */
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

/** What a command and a group of them have in common. */
interface Entry {
  readonly name: string
  readonly about: string
  /** Of a group: every command in it takes them too. */
  readonly options: Readonly<Record<string, CommandOption>>
  /** Command line and what it does. */
  readonly examples: readonly (readonly [line: string, about: string])[]
}

export interface Command extends Entry {
  /** Positional arguments in yargs' notation, such as `[target]` or `<servers..>`; empty if there are none. */
  readonly positionals: string
  /** Words that a positional argument may be, for completion. */
  readonly choices?: readonly string[]
  /** Words that begin with one dash are arguments, such as `-tag`; short options are not taken then. */
  readonly takesDashWords?: boolean
  /** A part of another command that runs as a program of its own; the help does not show it. */
  readonly isInternal?: boolean
  /** Gives the exit code, 0 if undefined. */
  readonly run: (input: CommandInput) => Promise<number | undefined>
}

/** Commands behind one word, as in `overlay hub nodes`. */
export interface CommandGroup extends Entry {
  readonly commands: readonly CommandEntry[]
  /** Runs where the next word names none of `commands`. */
  readonly otherwise?: Command
}

export type CommandEntry = Command | CommandGroup

/** Every command takes these. */
export const GLOBAL_OPTIONS: Readonly<Record<string, CommandOption>> = {
  json: { about: 'print JSON with stable fields' },
  verbose: { about: 'print more, log more', alias: 'v' },
}

/** First word of a daemon in the background (background.ts); no command has this name. */
export const BACKGROUND_WORD = '__daemon'
