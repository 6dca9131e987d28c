/**
 * Words of the command line -> the command and its input. Strict: an unknown command or option is a
 * usage error that names the nearest one there is.
 */

import yargs, { type Argv, type Options } from 'yargs'
import { UsageError } from '../base/errors.js'
import { nearest } from '../config/nearest.js'
import { programVersion } from '../platform/version.js'
import { type Command, type CommandInput, type CommandOption, GLOBAL_OPTIONS } from './command.js'

export interface Invocation {
  readonly command: Command
  readonly input: CommandInput
}

/** Undefined if the help, the version or the completion was asked for, and printed. */
export async function parseCommandLine(
  words: readonly string[],
  commands: readonly Command[],
): Promise<Invocation | undefined> {
  requireKnownCommand(words, commands)
  const found: Invocation[] = []
  const parser = yargs([...words])
    .scriptName('overlay')
    .usage('$0 <command>\n\nAn encrypted peer-to-peer network; on the wire it is WireGuard.')
    .options(toYargsOptions(GLOBAL_OPTIONS))
    .completion('completion', 'print a script for bash: source <(overlay completion)')
    .help()
    .alias('help', 'h')
    .version(programVersion())
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .demandCommand(1, 'which command?')
    .strict()
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? usageError(message, words, commands)
    })
  for (const command of commands) addCommand(parser, command, found)
  await parser.parseAsync()
  return found[0]
}

function addCommand(parser: Argv, command: Command, found: Invocation[]): void {
  const form = command.positionals === '' ? command.name : `${command.name} ${command.positionals}`
  parser.command(
    form,
    command.about,
    (sub) => {
      sub.options(toYargsOptions(command.options))
      for (const [line, about] of command.examples) sub.example(line, about)
      return sub
    },
    (args) => {
      const positionals = positionalNames(command).flatMap((name) => args[name] ?? [])
      found.push({
        command,
        input: {
          words: positionals.map(String),
          has: (option) => isGiven(args[option]),
          value: (option) => lastText(args[option]),
          output: { isJson: isGiven(args.json), isVerbose: isGiven(args.verbose) },
        },
      })
    },
  )
}

/** `<servers..>` and `[target]` -> servers, target. */
function positionalNames(command: Command): string[] {
  return command.positionals.split(' ').flatMap((word) => /[a-z]+/.exec(word)?.[0] ?? [])
}

/** A flag that is given twice comes as a list. */
function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.at(-1) === true : value === true
}

function lastText(value: unknown): string | undefined {
  const last: unknown = Array.isArray(value) ? value.at(-1) : value
  return typeof last === 'string' ? last : undefined
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

/** Before yargs looks: it would call a mistyped command an argument too many. */
function requireKnownCommand(words: readonly string[], commands: readonly Command[]): void {
  const word = words.find((candidate) => !candidate.startsWith('-'))
  const names = [...commands.map((command) => command.name), 'completion']
  if (word === undefined || names.includes(word) || words.includes('--get-yargs-completions')) return
  const near = nearest(word, names)
  throw new UsageError(`there is no command "${word}"`, {
    hint: near === undefined ? 'see all of them: overlay --help' : `did you mean: overlay ${near}`,
  })
}

function usageError(message: string, words: readonly string[], commands: readonly Command[]): UsageError {
  const command = commands.find((candidate) => words.includes(candidate.name))
  const help = `see: overlay ${command === undefined ? '' : `${command.name} `}--help`
  if (command !== undefined && message.startsWith('Not enough')) {
    return new UsageError(`overlay ${command.name} needs ${command.positionals}`, { hint: help })
  }
  const unknown = /^Unknown arguments?: ([^,]+)/.exec(message)?.[1]
  if (unknown === undefined) return new UsageError(message, { hint: help })
  const known = [...Object.keys(command?.options ?? {}), ...Object.keys(GLOBAL_OPTIONS), 'help']
  const near = nearest(unknown, known)
  return new UsageError(message, { hint: near === undefined ? help : `did you mean --${near}? ${help}` })
}
