/** Ends an interface from outside, whether its daemon lives or died, and waits until nothing of it is left. */

import { AppError, ERROR_CODES } from '../base/errors.js'
import { isProcessAlive, type ProcessId } from '../platform/processes.js'
import type { RunningInterface } from './running.js'

/** Hooks may take their time. */
const STOP_TIMEOUT_MS = 120_000
const POLL_MS = 10

/**
 * Gives what could not be undone. `isComingBack`: only after a crash, for whoever starts the daemon again; a kill
 * switch stays.
 */
export async function endInterface(
  running: RunningInterface,
  isComingBack = false,
  timeoutMs: number = STOP_TIMEOUT_MS,
): Promise<readonly string[]> {
  if (isComingBack && !running.isAlive) return await cleanUp(running, true)
  const { guard } = running.record
  const deadlineMs = Date.now() + timeoutMs
  const faults = running.isAlive ? await stop(running, timeoutMs, deadlineMs) : []
  if (guard !== undefined) {
    signal(guard)
    await waitForEnd(guard, running.record.interface, deadlineMs)
  }
  // It died earlier, or over its stopping.
  const rest = (await isLeftBehind(running)) ? await cleanUp(running, false) : []
  return [...new Set([...faults, ...rest])]
}

async function isLeftBehind({ paths }: RunningInterface): Promise<boolean> {
  const { isGuarded, isOwnerAlive, tryReadJournal } = await import('../daemon/undo-journal.js')
  const record = await tryReadJournal(paths.journal)
  return record !== undefined && !isOwnerAlive(record) && !isGuarded(record)
}

async function stop(
  running: RunningInterface,
  timeoutMs: number,
  deadlineMs: number,
): Promise<readonly string[]> {
  const { callApi } = await import('./api-client.js')
  const { stopResult } = await import('../daemon/local-api-schema.js')
  const { record } = running
  let faults: readonly string[] = []
  try {
    const answer = await callApi({
      socket: running.paths.apiSocket,
      method: 'POST',
      path: '/v1/stop',
      answer: stopResult,
      timeoutMs,
    })
    faults = answer.faults
  } catch (error) {
    if (error instanceof AppError && error.code === ERROR_CODES.timeout)
      throw doesNotEnd(record, record.interface)
    // It is just starting or just ending and has no socket: its process can still be told.
    if (!(error instanceof AppError) || error.code !== ERROR_CODES.notRunning) throw error
    const { guard } = record
    signal(guard !== undefined && isProcessAlive(guard) ? guard : record)
  }
  // The daemon takes its journal away last, but for faults it leaves in there; then its process ends.
  await waitForEnd(record, record.interface, deadlineMs)
  return faults
}

function signal(target: ProcessId): void {
  if (isProcessAlive(target)) process.kill(target.pid, 'SIGTERM')
}

function doesNotEnd({ pid }: ProcessId, interfaceName: string): AppError {
  return new AppError(ERROR_CODES.timeout, `process ${pid} does not end`, {
    hint: `type: sudo kill -9 ${pid}; sudo overlay down ${interfaceName}`,
  })
}

async function waitForEnd(target: ProcessId, interfaceName: string, deadlineMs: number): Promise<void> {
  while (isProcessAlive(target)) {
    if (Date.now() > deadlineMs) {
      throw doesNotEnd(target, interfaceName)
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

async function cleanUp(
  { paths, record }: RunningInterface,
  isComingBack: boolean,
): Promise<readonly string[]> {
  const { recover } = await import('../daemon/undo.js')
  const { openCommandLog } = await import('../daemon/guard.js')
  const { createLogger } = await import('../base/log.js')
  const logFile = openCommandLog(record.interface, process.env)
  const log = createLogger({ level: 'error', write: logFile.writeLine, wallNowMs: Date.now })
  const context = { interfaceName: record.interface, log, logFile }
  return (await recover(paths, context, isComingBack))?.faults ?? []
}
