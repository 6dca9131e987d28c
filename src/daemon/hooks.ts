/** The shell lines of a tunnel file that run around `up` and `down`. */

import { AppError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { runShellLine } from '../platform/processes.js'
import type { LogFile } from './log-file.js'

/** Of what hooks printed, in an error. */
export const MAX_SHOWN_BYTES = 2048

export interface HookContext {
  readonly interfaceName: string
  /** Absolute path; empty if there is none. */
  readonly configFile: string
  readonly log: Logger
  readonly logFile: LogFile
  readonly signal?: AbortSignal
}

/** The phases of a tunnel file, in the order of their life. */
export const HOOK_PHASES = ['PreUp', 'PostUp', 'PreDown', 'PostDown'] as const
export type HookPhase = (typeof HOOK_PHASES)[number]

/**
 * The service manager runs the hooks itself (`overlay hooks`): they may do what they like, while the daemon is
 * kept to what it needs.
 */
export function areHooksOfService(environment: NodeJS.ProcessEnv): boolean {
  return environment.OVERLAY_HOOKS === 'service'
}

/** How a guard speaks to its own processes. A hook may be an `overlay` of another interface: it is not meant. */
const NOT_OF_HOOKS = { OVERLAY_GUARD: undefined, OVERLAY_RESTARTED: undefined, OVERLAY_ENDING: undefined }

/** Runs the lines of a phase; throws AppError if one fails. */
export type HookRunner = (phase: HookPhase, lines: readonly string[], context: HookContext) => Promise<void>

/**
 * Runs the lines in order, `%i` replaced by the interface name. The first that fails is the last, but in PostDown,
 * where all run and then the first failure is thrown. A line may hold a secret, so logs and errors name it by phase
 * and number.
 */
export const runHooks: HookRunner = async (phase, lines, context) => {
  let failure: AppError | undefined
  for (const [i, template] of lines.entries()) {
    const name = `${phase} hook ${i + 1} of ${lines.length}`
    context.log.info('hook.run', { name })
    const start = context.logFile.position()
    try {
      const line = template.replaceAll('%i', context.interfaceName)
      const environment = {
        ...NOT_OF_HOOKS,
        INTERFACE: context.interfaceName,
        CONFIG_FILE: context.configFile, // both as wg-quick(8)
      }
      await runShellLine(line, { outputFd: context.logFile.fd, environment, signal: context.signal })
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      const output = context.logFile.readFrom(start, MAX_SHOWN_BYTES)
      const hint = output === '' ? '' : `it printed: ${output}`
      context.log.error('hook.failed', { name, reason: error.message })
      failure ??= new AppError(error.code, `${name} ${error.message}`, { hint, cause: error })
      if (phase !== 'PostDown') break
    }
  }
  if (failure !== undefined) throw failure
}
