/** `overlay down`: end a tunnel and wait until nothing of it is left, also if its daemon died. */

import type { Command } from '../command.js'
import { printJson, printLine, printNote } from '../output.js'
import { interfaceNameOf } from '../tunnel-name.js'

export const down: Command = {
  name: 'down',
  positionals: '[target]',
  about: 'take a tunnel down and undo everything, also after its daemon was killed',
  options: {
    crashed: { about: 'after a crash, before the tunnel comes up again: its kill switch stays' },
  },
  examples: [['sudo overlay down wg0', 'end wg0; returns when it is gone']],
  async run({ words, has, output }) {
    const { onlyRunningName, requireRunning } = await import('../running.js')
    const { endInterface } = await import('../ending.js')
    const [target] = words
    const interfaceName = target === undefined ? onlyRunningName() : interfaceNameOf(target)
    const running = await requireRunning(interfaceName)
    const faults = await endInterface(running, has('crashed'))
    if (output.isJson) printJson({ interface: interfaceName, recovered: !running.isAlive, faults })
    else for (const fault of faults) printNote(`overlay: ${fault}`)
    if (!output.isJson) printLine(`${interfaceName} is down`)
    return faults.length === 0 ? 0 : 1
  },
}
