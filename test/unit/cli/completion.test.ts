import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../../src/cli/commands.js'
import { completionScript } from '../../../src/cli/completion.js'
import { lackOf } from '../../support/requirement.js'

type Shell = 'bash' | 'zsh' | 'fish'

/** Stands for what compinit loads: prints what would be offered. */
const ZSH_STUBS = `
compdef() { }
compadd() { shift; print -l -- "\${(@P)1}" }
_files() { print FILES }
_describe() {
  local entry
  for entry in "\${(@P)argv[-1]}"; do print -r -- "\${entry%%:*}"; done
}
`

/** What the shell offers for the last of `words`, which may be empty. */
function offers(shell: Shell, words: readonly string[]): string[] {
  const script = completionScript(shell, COMMANDS)
  const quoted = words.map((word) => `'${word}'`).join(' ')
  const ask = {
    bash: `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _overlay; printf '%s\\n' "\${COMPREPLY[@]}"`,
    zsh: `${ZSH_STUBS}\n${script}\nwords=(${quoted}); CURRENT=${words.length}; PREFIX='${words.at(-1)}'; _overlay`,
    fish: `${script}\ncomplete -C '${words.join(' ')}'`,
  }[shell]
  const { status, stdout, stderr } = spawnSync(shell, [...FLAGS[shell], '-c', ask], { encoding: 'utf8' })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout.split('\n').flatMap((line) => line.split('\t')[0] || [])
}

const FLAGS: Readonly<Record<Shell, readonly string[]>> = {
  bash: ['--norc'],
  zsh: ['-f'],
  fish: ['--no-config'],
}

describe.each(['bash', 'zsh', 'fish'] as const)('the completion for %s', (shell) => {
  const missing = lackOf(shell)
  const when = it.skipIf(missing !== '')

  it('names every command that the help names, and none that it hides', () => {
    const script = completionScript(shell, COMMANDS)
    for (const line of ['overlay hub token create', 'overlay hub relay add', 'overlay lab matrix']) {
      expect(script).toContain(line)
    }
    expect(script).not.toContain('overlay hub front')
    expect(script).not.toContain('overlay lab delay')
  })

  when(`is a script without a mistake${missing}`, () => {
    const directory = mkdtempSync(join(tmpdir(), 'overlay-completion-'))
    const file = join(directory, 'script')
    writeFileSync(file, completionScript(shell, COMMANDS))
    const run = spawnSync(shell, ['-n', file], { encoding: 'utf8' })
    rmSync(directory, { recursive: true })
    expect(run.stderr).toBe('')
    expect(run.status).toBe(0)
  })

  when(`offers the commands of a group${missing}`, () => {
    expect(offers(shell, ['overlay', 'hub', 'token', ''])).toEqual(
      expect.arrayContaining(['create', 'list', 'revoke']),
    )
    expect(offers(shell, ['overlay', 'hub', 'token', ''])).not.toContain('init')
  })

  when(`passes over the values of options${missing}`, () => {
    const found = offers(shell, ['overlay', 'hub', '--state', 'token', 'nodes', '--'])
    expect(found).toEqual(expect.arrayContaining(['--state', '--json', '--help']))
    expect(found).not.toContain('--expires')
  })

  when(`offers only options of the command${missing}`, () => {
    const found = offers(shell, ['overlay', 'hub', 'token', 'create', '--'])
    expect(found).toEqual(expect.arrayContaining(['--expires', '--uses', '--state']))
    expect(found).not.toContain('--stun-port')
  })

  when(`offers the words that an argument may be${missing}`, () => {
    expect(offers(shell, ['overlay', 'completion', ''])).toEqual(expect.arrayContaining(['bash', 'fish']))
  })
})
