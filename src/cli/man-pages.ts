/**
 * Manual pages, made from the table of commands and the table of errors: overlay(1), and one page for each command
 * or group, such as overlay-hub(1). In the `man` macros, as man(7) and groff take them. Pure.
 */

import { EXIT_CLASSES } from '../base/errors.js'
import { type CommandEntry, type CommandOption, GLOBAL_OPTIONS } from './command.js'
import { isGroup } from './command-path.js'
import { type CommandNode, listCommands } from './command-tree.js'

const ABOUT = 'an encrypted peer-to-peer network that is WireGuard on the wire'

/** File name → text. */
export function manPages(commands: readonly CommandEntry[], version: string): Map<string, string> {
  const [root, ...nodes] = listCommands(commands)
  const pages = new Map<string, string>()
  if (root === undefined) return pages
  pages.set('overlay.1', rootPage(root, version))
  for (const entry of root.children) {
    const line = `${root.line} ${entry.name}`
    const members = nodes.filter((node) => node.line === line || node.line.startsWith(`${line} `))
    pages.set(`${pageName(line)}.1`, entryPage(line, members, version))
  }
  return pages
}

function rootPage(root: CommandNode, version: string): string {
  return page([
    ...head(root.line, ABOUT, version),
    '.SH SYNOPSIS',
    '.B overlay',
    '.I command',
    '[options]',
    '.SH COMMANDS',
    ...root.children.flatMap(({ name, about }) => [
      '.TP',
      `.BR ${roff(pageName(`overlay ${name}`))} (1)`,
      text(about),
    ]),
    '.SH OPTIONS',
    ...options(root.options),
    ...exitStatus(),
    '.SH FILES',
    '.TP',
    '.I /etc/overlay, /etc/wireguard',
    'tunnel files, by name',
    '.TP',
    '.I /var/log/overlay',
    'what the daemons log',
  ])
}

/** `members`: the entry itself first, then what is behind it. */
function entryPage(line: string, members: readonly CommandNode[], version: string): string {
  const [self, ...behind] = members
  const entry = self?.entry
  if (self === undefined || entry === undefined) return ''
  const leaves = behind.filter(({ command }) => command !== undefined)
  return page([
    ...head(line, entry.about, version),
    '.SH SYNOPSIS',
    ...(isGroup(entry) ? [`.B ${roff(line)}`, '.I command', '[options]'] : []),
    ...(isGroup(entry) && self.command !== undefined ? ['.br'] : []),
    ...(self.command === undefined ? [] : [synopsis(self)]),
    ...(leaves.length === 0 ? [] : ['.SH COMMANDS']),
    ...leaves.flatMap((leaf) => leafSection(leaf, { ...GLOBAL_OPTIONS, help: undefined, ...entry.options })),
    '.SH OPTIONS',
    ...options(self.options),
    ...examples(entry.examples),
    ...exitStatus(),
    '.SH SEE ALSO',
    '.BR overlay (1)',
  ])
}

/** `inherited`: what every command of the group takes is said once, for all of it. */
function leafSection(
  { line, command, options: all }: CommandNode,
  inherited: Readonly<Record<string, unknown>>,
): string[] {
  if (command === undefined) return []
  const own = Object.entries(all).filter(([name]) => !Object.hasOwn(inherited, name))
  return [
    `.SS ${roff(command.positionals === '' ? line : `${line} ${command.positionals}`)}`,
    text(command.about),
    ...options(Object.fromEntries(own)),
  ]
}

function head(line: string, about: string, version: string): string[] {
  const name = pageName(line)
  return [
    `.TH ${roff(name.toUpperCase())} 1 "" "overlay ${roff(version)}" "User Commands"`,
    '.SH NAME',
    `${roff(name)} \\- ${roff(about)}`,
  ]
}

function synopsis({ line, command }: CommandNode): string {
  return `.B ${roff(line)}\n${text([command?.positionals ?? '', '[options]'].join(' ').trim())}`
}

function options(all: Readonly<Record<string, CommandOption>>): string[] {
  return Object.entries(all).flatMap(([name, { about, alias, value }]) => {
    const short = alias === undefined ? '' : `\\fB\\-${roff(alias)}\\fR, `
    const argument = value === undefined ? '' : ` \\fI${roff(name)}\\fR`
    return [
      '.TP',
      `${short}\\fB\\-\\-${roff(name)}\\fR${argument}`,
      text(value === undefined ? about : `${about} (default: ${value})`),
    ]
  })
}

function examples(all: CommandEntry['examples']): string[] {
  if (all.length === 0) return []
  return ['.SH EXAMPLES', ...all.flatMap(([line, about]) => ['.TP', `\\fB${roff(line)}\\fR`, text(about)])]
}

function exitStatus(): string[] {
  const rows = Object.values(EXIT_CLASSES).flatMap(({ exit, about }) => ['.TP', `.B ${exit}`, text(about)])
  return ['.SH EXIT STATUS', ...rows]
}

/** `overlay hub` → `overlay-hub`. */
function pageName(line: string): string {
  return line.replaceAll(' ', '-')
}

function page(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`
}

/** A line of running text: a dot or a quote at its start would be a macro. */
function text(words: string): string {
  return roff(words).replace(/^[.']/, '\\&$&')
}

function roff(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replaceAll('`', '\\(ga')
    .replaceAll('~', '\\(ti')
    .replaceAll('’', '\\(cq')
    .replaceAll(
      /[^ -~]/g,
      (char) => `\\[u${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
}
