/** The table of commands as a list: what completion and man pages are made from. Pure. */

import { type Command, type CommandEntry, type CommandOption, GLOBAL_OPTIONS } from './command.js'
import { isGroup } from './command-path.js'

export interface CommandNode {
  /** As it is typed: `overlay hub token`. */
  readonly line: string
  /** Undefined at the root. */
  readonly entry: CommandEntry | undefined
  /** Commands behind it that users see. */
  readonly children: readonly CommandEntry[]
  /** All that may stand on the line: its own options, those of its groups, and the global ones. */
  readonly options: Readonly<Record<string, CommandOption>>
  /** What takes the words behind it, if anything does. */
  readonly command: Command | undefined
}

/** Options that the parser takes by itself. */
const BUILT_IN_OPTIONS: Readonly<Record<string, CommandOption>> = {
  help: { about: 'show help', alias: 'h' },
}

/** The root first, then each entry before those behind it. */
export function listCommands(commands: readonly CommandEntry[]): CommandNode[] {
  const options = { ...GLOBAL_OPTIONS, ...BUILT_IN_OPTIONS }
  const root: CommandNode = {
    line: 'overlay',
    entry: undefined,
    children: visible(commands),
    options: { ...options, version: { about: 'show the version' } },
    command: undefined,
  }
  return [root, ...root.children.flatMap((entry) => listEntry(entry, { line: root.line, options }))]
}

function listEntry(entry: CommandEntry, parent: Pick<CommandNode, 'line' | 'options'>): CommandNode[] {
  const line = `${parent.line} ${entry.name}`
  const options = { ...parent.options, ...entry.options }
  if (!isGroup(entry)) return [{ line, entry, children: [], options, command: entry }]
  const children = visible(entry.commands)
  const node: CommandNode = {
    line,
    entry,
    children,
    options: { ...options, ...entry.otherwise?.options },
    command: entry.otherwise,
  }
  return [node, ...children.flatMap((child) => listEntry(child, { line, options }))]
}

function visible(entries: readonly CommandEntry[]): CommandEntry[] {
  return entries.filter((entry) => isGroup(entry) || entry.isInternal !== true)
}
