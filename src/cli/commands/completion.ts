/** `overlay completion`: what makes a shell complete the words of this program. */

import { UsageError } from '../../base/errors.js'
import type { Command, CommandEntry } from '../command.js'
import { printJson } from '../output.js'

const SHELLS = ['bash', 'zsh', 'fish'] as const

/** `commands`: asked for when it runs, as it is one of them. */
export function completion(commands: () => readonly CommandEntry[]): Command {
  return {
    name: 'completion',
    positionals: '<shell>',
    about: 'print the completion script for a shell: bash, zsh or fish',
    options: {},
    choices: SHELLS,
    examples: [
      ['source <(overlay completion bash)', 'in ~/.bashrc'],
      ['source <(overlay completion zsh)', 'in ~/.zshrc, after compinit'],
      ['overlay completion fish | source', 'in ~/.config/fish/config.fish'],
    ],
    async run({ words, output }) {
      const { completionScript } = await import('../completion.js')
      const shell = SHELLS.find((name) => name === words[0])
      if (shell === undefined) {
        throw new UsageError(`there is no completion for "${words[0]}"`, {
          hint: `there is one for: ${SHELLS.join(', ')}`,
        })
      }
      const script = completionScript(shell, commands())
      if (output.isJson) printJson({ shell, script })
      else process.stdout.write(script)
      return 0
    },
  }
}
