/** What runs on this machine, from the journals. */

import { AppError, ERROR_CODES, UsageError } from '../base/errors.js'
import type { InterfaceStatus } from '../daemon/local-api-schema.js'
import { isGuarded, isOwnerAlive, type JournalRecord, tryReadJournal } from '../daemon/undo-journal.js'
import { tryFindLink } from '../platform/network.js'
import { listRunNames, type RunPaths, runPaths } from '../platform/run-directory.js'
import type { ApiRequest } from './api-client.js'

const STATUS_TIMEOUT_MS = 5000

export interface RunningInterface {
  readonly paths: RunPaths
  readonly record: JournalRecord
  /** False: the daemon died and left something behind. */
  readonly isAlive: boolean
}

async function tryFindRunning(interfaceName: string): Promise<RunningInterface | undefined> {
  const paths = runPaths(interfaceName)
  const record = await tryReadJournal(paths.journal)
  return record === undefined ? undefined : { paths, record, isAlive: isOwnerAlive(record) }
}

/** Throws NOT_RUNNING. */
export async function requireRunning(interfaceName: string): Promise<RunningInterface> {
  const running = await tryFindRunning(interfaceName)
  if (running !== undefined) return running
  const isForeign = tryFindLink(interfaceName) !== undefined
  throw new AppError(ERROR_CODES.notRunning, `${interfaceName} is not up`, {
    hint: isForeign
      ? `there is an interface ${interfaceName}, but overlay does not serve it`
      : `bring it up: overlay up ${interfaceName}`,
  })
}

/** What to do about a daemon that died. */
export function crashHint(record: JournalRecord): string {
  const { interface: name } = record
  return isGuarded(record)
    ? `it is being started again (its log, in /var/log/overlay, says what fails); to end it: sudo overlay down ${name}`
    : `clean up with: sudo overlay down ${name}`
}

/** For commands that ask the daemon. Throws NOT_RUNNING. */
export async function requireAlive(interfaceName: string): Promise<RunningInterface> {
  const running = await requireRunning(interfaceName)
  if (running.isAlive) return running
  throw new AppError(ERROR_CODES.notRunning, `the daemon of ${interfaceName} died`, {
    hint: crashHint(running.record),
  })
}

export interface RunningList {
  readonly running: readonly RunningInterface[]
  /** Interfaces whose journal cannot be read, and why: one of them must not hide the others. */
  readonly unreadable: readonly { readonly interface: string; readonly message: string }[]
}

export async function listRunning(): Promise<RunningList> {
  const running: RunningInterface[] = []
  const unreadable: { interface: string; message: string }[] = []
  for (const name of listRunNames()) {
    try {
      const found = await tryFindRunning(name)
      if (found !== undefined) running.push(found)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      unreadable.push({ interface: name, message: `${error.message} (${error.hint})` })
    }
  }
  return { running, unreadable }
}

/** For commands whose name may be left out where there is one interface only. */
export function onlyRunningName(): string {
  const names = listRunNames()
  const [name] = names
  if (names.length === 1 && name !== undefined) return name
  if (names.length === 0) throw new AppError(ERROR_CODES.notRunning, 'no interface is up')
  throw new UsageError('which interface? Name one', { hint: `there are: ${names.join(', ')}` })
}

/** Asks the daemon of an interface, by default of the only one there is. */
export async function callInterface<T>(
  name: string | undefined,
  request: Omit<ApiRequest<T>, 'socket'>,
): Promise<T> {
  const { callApi } = await import('./api-client.js')
  const { paths } = await requireAlive(name ?? onlyRunningName())
  return await callApi({ ...request, socket: paths.apiSocket })
}

export async function askStatus(name: string | undefined): Promise<InterfaceStatus> {
  const { interfaceStatus } = await import('../daemon/local-api-schema.js')
  const request = { method: 'GET', path: '/v1/status', answer: interfaceStatus } as const
  return await callInterface(name, { ...request, timeoutMs: STATUS_TIMEOUT_MS })
}
