/** The shell lines of a tunnel file that run around `up` and `down`. */

import { AppError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { runShellLine } from '../platform/processes.js'
import type { LogFile } from './log-file.js'

const MAX_SHOWN_BYTES = 2048

export interface HookContext {
  readonly interfaceName: string
  readonly log: Logger
  readonly logFile: LogFile
  readonly signal?: AbortSignal
}

/** Runs the lines in order, `%i` replaced by the interface name; throws at the first that fails. */
export async function runHooks(phase: string, lines: readonly string[], context: HookContext): Promise<void> {
  for (const template of lines) {
    const line = template.replaceAll('%i', context.interfaceName)
    context.log.info('hook.run', { phase, line })
    const start = context.logFile.position()
    try {
      await runShellLine(line, context.logFile.fd, context.signal)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      const output = context.logFile.readFrom(start, MAX_SHOWN_BYTES)
      const hint = output === '' ? 'it printed nothing' : `it printed: ${output}`
      throw new AppError(error.code, `${phase}: ${error.message}`, { hint, cause: error })
    }
  }
}
