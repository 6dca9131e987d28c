/** `overlay hooks`: runs the shell lines of a tunnel file, for service managers that keep the daemon to less. */

import { AppError, UsageError } from '../../base/errors.js'
import type { HookPhase } from '../../daemon/hooks.js'
import type { Command } from '../command.js'
import { findTunnel, type TunnelTarget } from '../tunnel-name.js'

export const hooks: Command = {
  name: 'hooks',
  positionals: '<target> <phase>',
  about: 'run the PreUp, PostUp, PreDown or PostDown lines of a tunnel, for service managers',
  options: {},
  choices: ['PreUp', 'PostUp', 'PreDown', 'PostDown'],
  examples: [['sudo overlay hooks wg0 PostUp', 'as configs/overlay@.service does it']],
  async run({ words, output }) {
    const { HOOK_PHASES, runHooks } = await import('../../daemon/hooks.js')
    const { EXIT_NO_FILE, openCommandLog, tryFindGuard } = await import('../../daemon/guard.js')
    const { createLogger } = await import('../../base/log.js')
    const { wallNowMs } = await import('../../platform/clock.js')
    const [target = '', wanted = ''] = words
    const phase = HOOK_PHASES.find((name) => name.toLowerCase() === wanted.toLowerCase())
    if (phase === undefined) {
      throw new UsageError(`"${wanted}" is no phase`, { hint: `one of ${HOOK_PHASES.join(', ')}` })
    }
    let found: FoundHooks
    try {
      found = await findHooks(target, phase)
    } catch (error) {
      // Its daemon knows the lines as they were, and is told that these are none.
      if (error instanceof AppError && tryFindGuard(process.env) !== undefined) return EXIT_NO_FILE
      throw error
    }
    const { file, interfaceName, lines } = found
    const logFile = openCommandLog(interfaceName, process.env)
    const level = output.isVerbose ? 'debug' : 'info'
    const log = createLogger({ level, write: (line) => logFile.writeLine(line), wallNowMs })
    const ended = new AbortController()
    process.once('SIGTERM', () => ended.abort())
    await runHooks(phase, lines, { interfaceName, configFile: file, log, logFile, signal: ended.signal })
    return 0
  },
}

interface FoundHooks extends TunnelTarget {
  readonly lines: readonly string[]
}

async function findHooks(target: string, phase: HookPhase): Promise<FoundHooks> {
  const { parseTunnelFile } = await import('../../daemon/tunnel-file.js')
  const found = findTunnel(target)
  const { preUp, postUp, preDown, postDown } = parseTunnelFile(found.file).config.interface
  return { ...found, lines: { PreUp: preUp, PostUp: postUp, PreDown: preDown, PostDown: postDown }[phase] }
}
