/**
 * `overlay device`: what `wg` and `wg-quick` expect of a userspace WireGuard. Returns when the interface
 * and its UAPI socket are there; the daemon ends when the interface is deleted.
 */

import { UsageError } from '../../base/errors.js'
import type { Command } from '../command.js'
import { printJson } from '../output.js'
import { interfaceNameOf, NAME_HINT } from '../tunnel-name.js'

export const device: Command = {
  name: 'device',
  positionals: '<interface>',
  about: 'make an interface and its UAPI socket, for wg and wg-quick to configure',
  options: {
    foreground: { about: 'stay, and log to the error output', alias: 'f' },
  },
  examples: [
    ['sudo overlay device wg0', 'then: wg setconf wg0 …'],
    ['sudo WG_QUICK_USERSPACE_IMPLEMENTATION=overlay-device wg-quick up wg0', 'let wg-quick use it'],
  ],
  async run(input) {
    const [word = ''] = input.words
    if (word.includes('/')) {
      throw new UsageError(`"${word}" cannot be the name of an interface`, { hint: NAME_HINT })
    }
    const { isVerbose, isJson } = input.output
    const request = {
      interfaceName: interfaceNameOf(word),
      configFile: undefined,
      hasFileAccess: false,
      hasDns: false,
      waitsForNames: false,
      isVerbose,
    }
    if (input.has('foreground')) {
      const { runDaemon } = await import('../../daemon/composition.js')
      const nothing = (): void => undefined
      await runDaemon({ ...request, isForeground: true, onReady: nothing, onWarning: nothing })
      return 0
    }
    const { startInBackground } = await import('../background.js')
    await startInBackground(request)
    if (isJson) printJson({ interface: request.interfaceName, state: 'running' })
    return 0
  },
}
