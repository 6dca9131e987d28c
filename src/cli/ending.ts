/** Ends an interface from outside, whether its daemon lives or died, and waits until nothing of it is left. */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { RunningInterface } from './running.js'

/** Hooks may take their time. */
const STOP_TIMEOUT_MS = 120_000
const POLL_MS = 10

/** Gives what could not be undone. `isComingBack`: a kill switch of a daemon that died stays. */
export async function endInterface(
  running: RunningInterface,
  isComingBack = false,
): Promise<readonly string[]> {
  return running.isAlive ? await stop(running) : await cleanUp(running, isComingBack)
}

async function stop(running: RunningInterface): Promise<readonly string[]> {
  const { callApi } = await import('./api-client.js')
  const { stopResult } = await import('../daemon/local-api-schema.js')
  const deadlineMs = Date.now() + STOP_TIMEOUT_MS
  let faults: readonly string[] = []
  try {
    const answer = await callApi({
      socket: running.paths.apiSocket,
      method: 'POST',
      path: '/v1/stop',
      answer: stopResult,
      timeoutMs: STOP_TIMEOUT_MS,
    })
    faults = answer.faults
  } catch (error) {
    // It is just starting or just ending and has no socket: its process can still be told.
    if (!(error instanceof AppError) || error.code !== ERROR_CODES.notRunning) throw error
    await signalOwner(running)
  }
  await waitForEnd(running, deadlineMs)
  return faults
}

async function signalOwner({ record }: RunningInterface): Promise<void> {
  const { isOwnerAlive } = await import('../daemon/undo-journal.js')
  if (isOwnerAlive(record)) process.kill(record.pid, 'SIGTERM')
}

/** The daemon takes its journal away last, but for faults it leaves in there; then its process ends. */
async function waitForEnd({ record }: RunningInterface, deadlineMs: number): Promise<void> {
  const { isOwnerAlive } = await import('../daemon/undo-journal.js')
  while (isOwnerAlive(record)) {
    if (Date.now() > deadlineMs) {
      throw new AppError(ERROR_CODES.timeout, `process ${record.pid} does not end`, {
        hint: `type: sudo kill -9 ${record.pid}; sudo overlay down ${record.interface}`,
      })
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

async function cleanUp(
  { paths, record }: RunningInterface,
  isComingBack: boolean,
): Promise<readonly string[]> {
  const { recover } = await import('../daemon/undo.js')
  const { standardErrorLog } = await import('../daemon/log-file.js')
  const { createLogger } = await import('../base/log.js')
  const logFile = standardErrorLog()
  const log = createLogger({ level: 'error', write: logFile.writeLine, wallNowMs: Date.now })
  const context = { interfaceName: record.interface, log, logFile }
  return (await recover(paths, context, isComingBack))?.faults ?? []
}
