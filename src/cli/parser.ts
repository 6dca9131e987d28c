/**
 * Words of the command line -> the command and its input. Strict: an unknown command or option, a value where
 * none belongs, and an option that is given twice are usage errors that say what would be right.
 */

import yargs, { type Argv, type Options } from 'yargs'
import { UsageError } from '../base/errors.js'
import { nearest } from '../config/nearest.js'
import { programVersion } from '../platform/version.js'
import {
  type Command,
  type CommandEntry,
  type CommandInput,
  type CommandOption,
  GLOBAL_OPTIONS,
} from './command.js'
import { type CommandPath, findCommand, isGroup, optionOf, pathName } from './command-path.js'

export interface Invocation {
  readonly command: Command
  readonly input: CommandInput
}

/** Stands for the dash of a word that is no option: no argument of a program can hold it. */
const SHELTERED_DASH = '\0'

/** Undefined if the help or the version was asked for, and printed. */
export async function parseCommandLine(
  words: readonly string[],
  commands: readonly CommandEntry[],
): Promise<Invocation | undefined> {
  const path = findCommand(words, commands)
  requireKnownCommand(words, path, commands)
  requireValues(words, path)
  const found: Invocation[] = []
  const parser = yargs(shelterDashes(words, path))
    .scriptName('overlay')
    .usage('$0 <command>\n\nAn encrypted peer-to-peer network; on the wire it is WireGuard.')
    // A node may be called 1e3.
    .parserConfiguration({
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'boolean-negation': false,
    })
    .options(toYargsOptions(GLOBAL_OPTIONS))
    .help()
    .alias('help', 'h')
    .version(programVersion())
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .demandCommand(1, 'which command?')
    .strict()
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? usageError(message, words, { path, commands })
    })
  for (const command of commands) addEntry(parser, command, found)
  await parser.parseAsync()
  return found[0]
}

function addEntry(parser: Argv, entry: CommandEntry, found: Invocation[], prefix = '$0'): void {
  if (!isGroup(entry)) {
    addCommand(parser, entry, { word: entry.name, found })
    return
  }
  parser.command(entry.name, `${entry.about}: ${namesOf(entry.commands)}`, (sub) => {
    const line = `${prefix} ${entry.name}`
    describe(sub, entry).usage(
      `${line} ${entry.otherwise === undefined ? '<command>' : '[command]'}\n\n${entry.about}`,
    )
    for (const command of entry.commands) addEntry(sub, command, found, line)
    if (entry.otherwise === undefined) return sub.demandCommand(1)
    addCommand(sub, entry.otherwise, { word: '$0', found })
    return sub
  })
}

function addCommand(
  parser: Argv,
  command: Command,
  { word, found }: { readonly word: string; readonly found: Invocation[] },
): void {
  parser.command({
    command: command.positionals === '' ? word : `${word} ${command.positionals}`,
    describe: command.isInternal ? false : command.about,
    builder: (sub: Argv) => describe(sub, command),
    handler: (args) => {
      const positionals = positionalNames(command).flatMap((name) => args[name] ?? [])
      found.push({
        command,
        input: {
          words: positionals.map((value) => String(value).replace(SHELTERED_DASH, '-')),
          has: (option) => isGiven(args[option]),
          value: (option) => textOf(args[option]),
          output: { isJson: isGiven(args.json), isVerbose: isGiven(args.verbose) },
        },
      })
    },
  })
}

function describe(parser: Argv, { options, examples }: CommandEntry): Argv {
  parser.options(toYargsOptions(options))
  for (const [line, about] of examples) parser.example(line, about)
  return parser
}

/** `<servers..>` and `[target]` -> servers, target. */
function positionalNames(command: Command): string[] {
  return command.positionals.split(' ').flatMap((word) => /[a-z]+/.exec(word)?.[0] ?? [])
}

/** A flag that is given twice comes as a list. */
function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.at(-1) === true : value === true
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function toYargsOptions(options: Readonly<Record<string, CommandOption>>): Record<string, Options> {
  const entries = Object.entries(options).map(([name, option]): [string, Options] => [
    name,
    {
      describe: option.about,
      ...(option.value === undefined
        ? { type: 'boolean' }
        : { type: 'string', requiresArg: true, defaultDescription: option.value }),
      ...(option.alias !== undefined && { alias: option.alias }),
    },
  ])
  return Object.fromEntries(entries)
}

// --- before yargs looks ------------------------------------------------------------------------

/** Yargs would call a mistyped command an argument too many. */
function requireKnownCommand(
  words: readonly string[],
  path: CommandPath,
  commands: readonly CommandEntry[],
): void {
  const last = path.entries.at(-1)
  const name = pathName(path)
  if (path.unknown === undefined) {
    const isComplete = last === undefined || !isGroup(last) || last.otherwise !== undefined
    if (isComplete || words.some(isBuiltIn)) return
    throw new UsageError(`overlay ${name} needs a command`, { hint: `it has: ${namesOf(last.commands)}` })
  }
  const choices = last !== undefined && isGroup(last) ? last.commands : commands
  const near = nearest(path.unknown, namesOf(choices).split(', '))
  if (near === undefined) refuseStrangeOption(words, path, commands)
  const prefix = name === '' ? 'overlay' : `overlay ${name}`
  const all = last === undefined ? 'see all of them: overlay --help' : `it has: ${namesOf(choices)}`
  throw new UsageError(
    last === undefined
      ? `there is no command "${path.unknown}"`
      : `${prefix} has no command "${path.unknown}"`,
    { hint: near === undefined ? all : `did you mean: ${prefix} ${near}` },
  )
}

/** The word before it is an option that is not known yet: it would pass for the option's value. */
function refuseStrangeOption(
  words: readonly string[],
  path: CommandPath,
  commands: readonly CommandEntry[],
): void {
  const option = words[path.end - 1] ?? ''
  const name = /^--?([^=]+)$/.exec(option)?.[1]
  if (name === undefined || isBuiltIn(option) || optionOf(option, path.options) !== undefined) return
  const prefix = ['overlay', ...path.entries.map((entry) => entry.name)].join(' ')
  throw new UsageError(`${prefix} does not take ${option}`, {
    hint: hintFor(name, { path, commands }) ?? `see: ${prefix} --help`,
  })
}

function namesOf(commands: readonly CommandEntry[]): string {
  return commands
    .filter((command) => isGroup(command) || command.isInternal !== true)
    .map(({ name }) => name)
    .join(', ')
}

/** What yargs takes by itself. */
function isBuiltIn(option: string): boolean {
  return option === '--help' || option === '-h' || option === '--version'
}

/** Yargs takes `--flag=yes` for no, and of two values the last: both would be swallowed. */
function requireValues(words: readonly string[], { options }: CommandPath): void {
  const seen = new Set<string>()
  for (const word of words) {
    if (word === '--') return
    const known = word.startsWith('-') ? optionOf(word, options) : undefined
    if (known === undefined) continue
    const { name, option } = known
    if (option.value === undefined) {
      if (!word.includes('=')) continue
      throw new UsageError(`--${name} takes no value`, { hint: `write --${name} alone, or leave it out` })
    }
    if (seen.has(name)) {
      throw new UsageError(`--${name} is given twice`, {
        hint: 'give it once; several values, where it takes them, with commas',
      })
    }
    seen.add(name)
  }
}

function shelterDashes(words: readonly string[], { entries, end }: CommandPath): string[] {
  const command = entries.at(-1)
  if (command === undefined || isGroup(command) || command.takesDashWords !== true) return [...words]
  return words.map((word, at) => (at >= end && /^-[^-]/.test(word) ? SHELTERED_DASH + word.slice(1) : word))
}

// --- what yargs finds --------------------------------------------------------------------------

function usageError(
  message: string,
  words: readonly string[],
  { path, commands }: { readonly path: CommandPath; readonly commands: readonly CommandEntry[] },
): UsageError {
  const name = ['overlay', ...path.entries.map((entry) => entry.name)].join(' ')
  const help = `see: ${name} --help`
  const command = path.entries.at(-1)
  if (command !== undefined && !isGroup(command) && message.startsWith('Not enough non-option')) {
    return new UsageError(`${name} needs ${command.positionals}`, { hint: help })
  }
  const unknown = /^Unknown arguments?: ([^,]+)/.exec(message)?.[1]
  if (unknown === undefined) return new UsageError(message, { hint: help })
  const option = words.find((word) => /^--?([^=]+)/.exec(word)?.[1] === unknown)
  if (option === undefined) {
    return new UsageError(`${name} does not take the argument "${unknown.replace(SHELTERED_DASH, '-')}"`, {
      hint: help,
    })
  }
  return new UsageError(`${name} does not take ${option}`, {
    hint: hintFor(unknown, { path, commands }) ?? help,
  })
}

/** The same group knows the option, or it is mistyped, or some other command knows it. */
function hintFor(
  option: string,
  { path, commands }: { readonly path: CommandPath; readonly commands: readonly CommandEntry[] },
): string | undefined {
  const inGroup = ownersOf(option, path.entries.slice(0, 1))
  const near = nearest(option, [...Object.keys(path.options), 'help'])
  if (inGroup.length === 0 && near !== undefined) return `did you mean --${near}?`
  const owners = inGroup.length > 0 ? inGroup : ownersOf(option, commands)
  return owners.length === 0 ? undefined : `it belongs to: ${owners.join(', ')}`
}

/** Commands that take the option, as they are typed. A group whose commands all take it stands for them. */
function ownersOf(option: string, entries: readonly CommandEntry[], prefix = 'overlay'): string[] {
  return entries.flatMap((entry) => {
    const name = `${prefix} ${entry.name}`
    if (Object.hasOwn(entry.options, option)) return [name]
    if (!isGroup(entry)) return []
    const inGroup = ownersOf(option, entry.commands, name)
    return entry.otherwise !== undefined && Object.hasOwn(entry.otherwise.options, option)
      ? [name, ...inGroup]
      : inGroup
  })
}
