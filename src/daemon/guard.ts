/**
 * The parent of a daemon in the background, as the daemon sees it. The guard (native/guard/main.cc) keeps all of
 * root's privileges and the daemon few, so it is the guard that runs the administrator's hooks; and it starts the
 * daemon again after a crash.
 *
 * Lines over an inherited socket. To the guard: "ready", "hooks PHASE", "cancel"; from it: "done EXITCODE".
 */

import { Socket } from 'node:net'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { type ProcessId, processId } from '../platform/processes.js'
import { type HookRunner, MAX_SHOWN_BYTES, runHooks } from './hooks.js'
import { type LogFile, openDaemonLog, standardErrorLog } from './log-file.js'

/** File descriptor of the socket in the daemon. */
const GUARD_FD = 4

/** The guard that this process, a daemon or a helper of it, belongs to. */
export function tryFindGuard(environment: NodeJS.ProcessEnv): ProcessId | undefined {
  return processId(Number(environment.OVERLAY_GUARD))
}

/**
 * For a command: a guard has no output, so what it runs writes into the log of its daemon, where it is read. It begins
 * no new file: the daemon would go on in the old one.
 */
export function openCommandLog(interfaceName: string, environment: NodeJS.ProcessEnv): LogFile {
  return tryFindGuard(environment) === undefined ? standardErrorLog() : openDaemonLog(interfaceName, Infinity)
}

/** How the daemon before this one ended; undefined if this is the first. */
export function previousEnd(environment: NodeJS.ProcessEnv): string | undefined {
  return environment.OVERLAY_RESTARTED
}

/** No daemon follows the one that is cleaned up after. */
export function isGuardEnding(environment: NodeJS.ProcessEnv): boolean {
  return environment.OVERLAY_ENDING !== undefined
}

/** Of `overlay hooks` for a guard: it has run none, because the file cannot be read or understood (EX_CONFIG). */
export const EXIT_NO_FILE = 78
/** Of the guard for a helper that it could not start. */
const EXIT_NOT_STARTED = 127

export class Guard {
  readonly process: ProcessId
  readonly #socket: Socket
  /** Text of an incomplete line. */
  #received = ''
  #onDone: ((exitCode: number) => void) | undefined

  private constructor(guard: ProcessId, socket: Socket) {
    this.process = guard
    this.#socket = socket
    socket.setEncoding('utf8').unref()
    socket.on('error', () => undefined) // 'close' follows
    socket.on('data', (text: string) => this.#handleData(text))
    socket.on('close', () => this.#onDone?.(EXIT_GUARD_GONE))
  }

  /** For the daemon, once; undefined if nobody guards it. */
  static tryConnect(environment: NodeJS.ProcessEnv): Guard | undefined {
    const guard = tryFindGuard(environment)
    if (guard === undefined || guard.pid !== process.ppid) return undefined
    return new Guard(guard, new Socket({ fd: GUARD_FD, readable: true, writable: true }))
  }

  /** From now on the end of this process is a crash, unless it ends with code 0. */
  reportReady(): void {
    this.#socket.write('ready\n')
  }

  /**
   * As runHooks, but the lines are those of the file as it is now. Without a guard, or when it cannot read them, this
   * process runs those it knows: what was set up is taken down, though the file is gone.
   */
  readonly runHooks: HookRunner = async (phase, lines, context) => {
    if (lines.length === 0) return
    const { log, logFile, signal } = context
    if (!this.#socket.writable) return await runHooks(phase, lines, context)
    log.info('hooks.run', { phase })
    const start = logFile.position()
    const exitCode = await this.#ask(phase, signal)
    if (exitCode === 0) return
    if (exitCode === EXIT_NO_FILE || exitCode === EXIT_NOT_STARTED) {
      log.warn('hooks.withoutGuard', { phase, exitCode })
      return await runHooks(phase, lines, context)
    }
    const { failure, printed } = splitHookOutput(logFile.readFrom(start, MAX_SHOWN_BYTES))
    throw new AppError(ERROR_CODES.command, failure ?? `the ${phase} hooks were cut off`, {
      hint: printed === '' ? '' : `it printed: ${printed}`,
    })
  }

  /** One at a time. */
  async #ask(phase: string, signal: AbortSignal | undefined): Promise<number> {
    const cancel = (): void => void this.#socket.write('cancel\n')
    this.#socket.ref()
    try {
      return await new Promise<number>((resolve) => {
        this.#onDone = resolve
        this.#socket.write(`hooks ${phase}\n`)
        if (signal?.aborted === true) cancel()
        signal?.addEventListener('abort', cancel)
      })
    } finally {
      signal?.removeEventListener('abort', cancel)
      this.#onDone = undefined
      this.#socket.unref()
    }
  }

  #handleData(text: string): void {
    const lines = (this.#received + text).split('\n')
    this.#received = lines.pop() ?? ''
    for (const line of lines) {
      const [word, exitCode] = line.split(' ')
      if (word === 'done') this.#onDone?.(Number(exitCode))
    }
  }
}

const EXIT_GUARD_GONE = 1

/** A line that the helper logged. What a hook prints need not end with its line. */
const HELPER_LINE = /\d{4}-\d\d-\d\dT[\d:.]+Z \w+ hook\.(\w+) name="([^"]*)"(?: reason="([^"]*)")?$/gm

/** What hooks and their helper wrote into the one log: the first failure, and what was printed. */
export function splitHookOutput(text: string): { failure: string | undefined; printed: string } {
  let failure: string | undefined
  const printed = text.replaceAll(HELPER_LINE, (_line, event: string, name: string, reason?: string) => {
    if (event === 'failed') failure ??= `${name} ${reason ?? 'failed'}`
    return ''
  })
  return { failure, printed: printed.replaceAll(/\n{2,}/g, '\n').trim() }
}
