/**
 * Completion scripts for bash, zsh and fish, made from the table of commands. Pure.
 *
 * Each script walks over the words before the cursor to find which command they mean, and passes over the values
 * of options. It then offers the commands, the options and the fixed words that may follow, and files where a path
 * is wanted. It never starts overlay: completing must not take as long as a program's start.
 */

import type { CommandEntry, CommandOption } from './command.js'
import { type CommandNode, listCommands } from './command-tree.js'

type Shell = 'bash' | 'zsh' | 'fish'

/** Options and positional arguments whose value is a path. A target may also be a name of one. */
const PATHS = /^(?:file|state|proxy-ca|target)$/
const TUNNEL_FILES = '/etc/overlay/*.conf /etc/wireguard/*.conf'

export function completionScript(shell: Shell, commands: readonly CommandEntry[]): string {
  const nodes = listCommands(commands)
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](nodes)
}

// --- bash --------------------------------------------------------------------------------------

function bashScript(nodes: readonly CommandNode[]): string {
  const replies = nodes.map(
    (node) =>
      `    ${quote(node.line)}) words=${quote([...wordsOf(node), ...flagsOf(node)].join(' '))}${takesPath(node) ? ' files=1' : ''}${takesTarget(node) ? ' tunnels=1' : ''} ;;`,
  )
  return `# bash completion for overlay; to load it: source <(overlay completion bash)
_overlay() {
  local cur=\${COMP_WORDS[COMP_CWORD]} line=overlay word skip= words= files= tunnels= file
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    # Bash takes --option=value for three words.
    if [[ $word == = ]]; then continue; fi
    if [[ -n $skip ]]; then skip=; continue; fi
    case "$line $word" in
${indented(walkCases(nodes, ') line+=" $word" ;;', ') skip=$word ;;'), 6)}
    esac
  done
  if [[ -n $skip ]]; then
    if [[ $cur == = ]]; then cur=; fi
    case $skip in
      ${valuePaths(nodes).map(quote).join(' | ')}) files=1 ;;
    esac
  else
    case $line in
${replies.map((line) => `  ${line}`).join('\n')}
    esac
  fi
  if [[ -n $tunnels ]]; then
    for file in ${TUNNEL_FILES}; do
      file=\${file##*/} file=\${file%.conf}
      # compgen expands its words: nothing but what an interface may be called.
      if [[ $file =~ ^[A-Za-z0-9_=+.-]+$ ]]; then words+=" $file"; fi
    done
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  if [[ -n $files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
  fi
}
complete -F _overlay overlay
`
}

// --- zsh ---------------------------------------------------------------------------------------

function zshScript(nodes: readonly CommandNode[]): string {
  const replies = nodes.flatMap((node) => [
    `  ${quote(node.line)})`,
    `    commands=(${described(node.children)})`,
    `    choices=(${choicesOf(node).join(' ')})`,
    `    options=(${describedOptions(node)})`,
    ...(takesPath(node) ? ['    files=1'] : []),
    ...(takesTarget(node) ? ['    tunnels=1'] : []),
    '    ;;',
  ])
  return `#compdef overlay
# zsh completion for overlay; to load it: source <(overlay completion zsh), after compinit
_overlay() {
  local line=overlay word skip= files= tunnels=
  local -a commands choices options names
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if [[ -n $skip ]]; then skip=; continue; fi
    case "$line $word" in
${indented(walkCases(nodes, ') line="$line $word" ;;', ') skip=$word ;;'), 4)}
    esac
  done
  if [[ -n $skip ]]; then
    case $skip in
      ${valuePaths(nodes).map(quote).join(' | ')}) _files ;;
    esac
    return
  fi
  case $line in
${replies.join('\n')}
  esac
  (( \${#commands} )) && _describe -t commands command commands
  (( \${#choices} )) && compadd -a choices
  if [[ -n $tunnels ]]; then
    names=(/etc/overlay/*.conf(N:t:r) /etc/wireguard/*.conf(N:t:r))
    (( \${#names} )) && compadd -a names
  fi
  [[ -n $files && $PREFIX != -* ]] && _files
  [[ $PREFIX == -* || -z $files ]] && _describe -o -t options option options
  return 0
}
if [[ $funcstack[1] == _overlay ]]; then _overlay "$@"; else compdef _overlay overlay; fi
`
}

function described(entries: readonly CommandEntry[]): string {
  return entries.map(({ name, about }) => quote(`${name}:${about}`)).join(' ')
}

function describedOptions(node: CommandNode): string {
  return Object.entries(node.options)
    .flatMap(([name, option]) => spellings(name, option).map((text) => quote(`${text}:${option.about}`)))
    .join(' ')
}

// --- fish --------------------------------------------------------------------------------------

function fishScript(nodes: readonly CommandNode[]): string {
  return `# fish completion for overlay; to load it: overlay completion fish | source
function __overlay_line
    set -l line overlay
    set -l skip 0
    set -l tokens (commandline -opc)
    set -e tokens[1]
    for word in $tokens
        if test $skip = 1
            set skip 0
            continue
        end
        switch "$line $word"
${fishWalk(nodes)}
        end
    end
    echo $line
end
function __overlay_at
    test (__overlay_line) = "$argv"
end
function __overlay_tunnels
    for file in ${TUNNEL_FILES}
        string replace -r '^.*/(.*)\\.conf$' '$1' $file
    end
end
complete -c overlay -f
${nodes.flatMap(fishReplies).join('\n')}
`
}

function fishWalk(nodes: readonly CommandNode[]): string {
  const { commands, values } = walkWords(nodes)
  return [
    `            case ${commands.map(fishQuote).join(' ')}`,
    '                set line "$line $word"',
    `            case ${values.map(fishQuote).join(' ')}`,
    '                set skip 1',
  ].join('\n')
}

function fishReplies(node: CommandNode): string[] {
  const at = `complete -c overlay -n ${fishQuote(`__overlay_at ${node.line}`)}`
  return [
    ...node.children.map(({ name, about }) => `${at} -a ${name} -d ${fishQuote(about)}`),
    ...(choicesOf(node).length === 0 ? [] : [`${at} -a ${fishQuote(choicesOf(node).join(' '))}`]),
    ...(takesTarget(node) ? [`${at} -a '(__overlay_tunnels)'`] : []),
    ...(takesPath(node) ? [`${at} -F`] : []),
    ...Object.entries(node.options).map(([name, { about, alias, value }]) => {
      const files = value === undefined ? '' : PATHS.test(name) ? ' -r -F' : ' -x'
      return `${at} -l ${name}${alias === undefined ? '' : ` -s ${alias}`}${files} -d ${fishQuote(about)}`
    }),
  ]
}

/** In single quotes of fish a backslash counts too. */
function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

// --- what the shells share ---------------------------------------------------------------------

/** How far the words of a line lead: to a command, or to an option whose value comes next. */
function walkWords(nodes: readonly CommandNode[]): {
  readonly commands: string[]
  readonly values: string[]
} {
  const values = nodes.flatMap(({ line, options }) =>
    Object.entries(options).flatMap(([name, option]) =>
      option.value === undefined ? [] : spellings(name, option).map((text) => `${line} ${text}`),
    ),
  )
  return { commands: nodes.slice(1).map(({ line }) => line), values }
}

function walkCases(nodes: readonly CommandNode[], onCommand: string, onValue: string): string[] {
  const { commands, values } = walkWords(nodes)
  return [commands.map(quote).join(' | ') + onCommand, values.map(quote).join(' | ') + onValue]
}

function indented(lines: readonly string[], width: number): string {
  return lines.map((line) => ' '.repeat(width) + line).join('\n')
}

function wordsOf(node: CommandNode): string[] {
  return [...node.children.map(({ name }) => name), ...choicesOf(node)]
}

function choicesOf({ command }: CommandNode): readonly string[] {
  return command?.choices ?? []
}

function flagsOf({ options }: CommandNode): string[] {
  return Object.entries(options).flatMap(([name, option]) => spellings(name, option))
}

/** `--count` and `-c`. */
function spellings(name: string, { alias }: CommandOption): string[] {
  return alias === undefined ? [`--${name}`] : [`--${name}`, `-${alias}`]
}

function takesPath({ command }: CommandNode): boolean {
  return positionals(command?.positionals).some((name) => PATHS.test(name))
}

function takesTarget({ command }: CommandNode): boolean {
  return positionals(command?.positionals).includes('target')
}

function positionals(text = ''): string[] {
  return text.match(/[a-z]+/g) ?? []
}

/** Options of any command whose value is a path, as they are typed. */
function valuePaths(nodes: readonly CommandNode[]): string[] {
  const names = nodes.flatMap(({ options }) =>
    Object.entries(options).flatMap(([name, { value }]) =>
      value !== undefined && PATHS.test(name) ? [`--${name}`] : [],
    ),
  )
  return [...new Set(names)]
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
