/** `overlay leave`: this machine is no node of a network any more. */

import { AppError, ERROR_CODES } from '../../base/errors.js'
import type { Command } from '../command.js'
import { printJson, printLine } from '../output.js'
import { findTunnel } from '../tunnel-name.js'

export const leave: Command = {
  name: 'leave',
  positionals: '<target>',
  about: 'leave a network: tell the hub, take the interface down, remove its file and keys',
  options: { force: { about: 'also if the hub cannot be told' } },
  examples: [['sudo overlay leave home', 'to come back it takes a new token']],
  async run({ words, has, output }) {
    const { parseTunnelFile } = await import('../../daemon/tunnel-file.js')
    const { leaveNetwork } = await import('../../daemon/network/join.js')
    const { listRunning } = await import('../running.js')
    const { endInterface } = await import('../ending.js')
    const { file, interfaceName } = findTunnel(words[0] ?? '')
    const { overlay } = parseTunnelFile(file).config
    if (overlay === undefined) {
      throw new AppError(ERROR_CODES.config, `${file} is of no network: it has no section [Overlay]`, {
        hint: `to take it down, type: sudo overlay down ${interfaceName}`,
      })
    }
    const { running } = await listRunning()
    const own = running.find(({ record }) => record.interface === interfaceName)
    if (own !== undefined) await endInterface(own)
    await leaveNetwork(file, overlay, has('force'))
    if (output.isJson) printJson({ network: overlay.network, name: overlay.name, file })
    else printLine(`${overlay.name} has left ${overlay.network}; ${file} and its keys are gone`)
    return 0
  },
}
