/** Which command a command line means: found before it is parsed, so that messages can name it. Pure. */

import { type CommandEntry, type CommandGroup, type CommandOption, GLOBAL_OPTIONS } from './command.js'

export interface CommandPath {
  /** From the first word on; empty if there is none. */
  readonly entries: readonly CommandEntry[]
  /** The next word, where it names no command though one is expected. */
  readonly unknown: string | undefined
  /** Place of the first word behind the command's name. */
  readonly end: number
  /** All that may stand anywhere on the line. */
  readonly options: Readonly<Record<string, CommandOption>>
}

export function findCommand(words: readonly string[], commands: readonly CommandEntry[]): CommandPath {
  const entries: CommandEntry[] = []
  let options = GLOBAL_OPTIONS
  let choices: readonly CommandEntry[] | undefined = commands
  for (let at = 0; choices !== undefined; at++) {
    const word = words[at]
    if (word === undefined || word === '--') return { entries, unknown: undefined, end: at, options }
    if (word.startsWith('-')) {
      if (takesNextWord(word, options)) at += 1
      continue
    }
    const entry: CommandEntry | undefined = choices.find(({ name }) => name === word)
    if (entry === undefined) {
      const last = entries.at(-1)
      const otherwise = last !== undefined && isGroup(last) ? last.otherwise : undefined
      if (otherwise === undefined) return { entries, unknown: word, end: at, options }
      return { entries, unknown: undefined, end: at, options: { ...options, ...otherwise.options } }
    }
    entries.push(entry)
    options = { ...options, ...entry.options }
    if (!isGroup(entry)) return { entries, unknown: undefined, end: at + 1, options }
    choices = entry.commands
  }
  return { entries, unknown: undefined, end: words.length, options }
}

export function isGroup(entry: CommandEntry): entry is CommandGroup {
  return 'commands' in entry
}

/** `hub token create`. */
export function pathName({ entries }: CommandPath): string {
  return entries.map(({ name }) => name).join(' ')
}

/** By name or alias, with its dashes; undefined if there is none. */
export function optionOf(
  word: string,
  options: Readonly<Record<string, CommandOption>>,
): { readonly name: string; readonly option: CommandOption } | undefined {
  const text = /^--?([^=]+)/.exec(word)?.[1]
  const found = Object.entries(options).find(([name, { alias }]) => text === name || text === alias)
  return found && { name: found[0], option: found[1] }
}

function takesNextWord(word: string, options: Readonly<Record<string, CommandOption>>): boolean {
  return !word.includes('=') && optionOf(word, options)?.option.value !== undefined
}
