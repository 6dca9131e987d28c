/**
 * Puts the host back as it was: at the end of a normal run, after a failed start, and for a daemon
 * that died. One way for all three, driven by the journal.
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import { tryFindLink } from '../platform/network.js'
import { isNamespaceAlive, networkNamespace, tryNamespaceName } from '../platform/network-namespace.js'
import { type RunPaths, removeFile } from '../platform/run-directory.js'
import { isGuardEnding, tryFindGuard } from './guard.js'
import { type HookContext, type HookRunner, runHooks } from './hooks.js'
import { undoLastingChange } from './host-changes.js'
import { type LastingChange, outlivesCrash } from './system-change.js'
import { isGuarded, isOwnerAlive, type JournalRecord, tryReadJournal, UndoJournal } from './undo-journal.js'

const LINK_POLL_MS = 10
const LINK_WAIT_MS = 5000

/** Text of whatever was thrown, hint included. */
export function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error instanceof AppError && error.hint !== '' ? `${error.message} (${error.hint})` : error.message
}

/**
 * Undoes all lasting changes, newest first. One that fails stays in the journal and is reported. `isKept`: stays,
 * and in the journal.
 */
export async function undoLastingChanges(
  journal: UndoJournal,
  isKept: (change: LastingChange) => boolean = () => false,
): Promise<string[]> {
  const faults: string[] = []
  for (const change of [...journal.record.changes].reverse()) {
    if (isKept(change)) continue
    try {
      await undoLastingChange(change, journal.record.interface)
      journal.remove(change)
    } catch (error) {
      faults.push(describeFault(error))
    }
  }
  return faults
}

/** Runs the PostDown hooks once. */
export async function runPostDown(
  journal: UndoJournal,
  context: HookContext,
  run: HookRunner = runHooks,
): Promise<string[]> {
  const hooks = journal.record.postDown
  journal.setPostDown([])
  try {
    await run('PostDown', hooks, context)
    return []
  } catch (error) {
    return [describeFault(error)]
  }
}

export interface Recovery {
  /** What could not be undone. */
  readonly faults: string[]
  /** With what was kept, or because the interface is its guard's; undefined if it was deleted. */
  readonly kept: UndoJournal | undefined
}

/**
 * Cleans up after a daemon that died; undefined if there is nothing to clean up. `isComingBack`: what outlives a
 * crash stays, because the tunnel is to come up again. Throws AppError if that daemon lives, or is to be started
 * again by a guard that is not ours.
 */
export async function recover(
  paths: RunPaths,
  context: Omit<HookContext, 'configFile'>,
  isComingBack = false,
): Promise<Recovery | undefined> {
  const record = await tryReadJournal(paths.journal)
  if (record === undefined) return undefined
  if (isOwnerAlive(record)) throw alreadyRunning(record)
  const isOurGuards = isGuarded(record) && record.guard?.pid === tryFindGuard(process.env)?.pid
  if (isGuarded(record) && !isOurGuards) throw comingBack(record)
  const isElsewhere = requireSameNamespace(record)
  const journal = await UndoJournal.tryTakeOver(paths)
  if (journal === undefined) return undefined
  context.log.warn('recover', { interface: record.interface, pid: record.pid })
  const isKept = (change: LastingChange): boolean => isComingBack && outlivesCrash(change)
  const faults = isElsewhere ? [] : await undoLastingChanges(journal, isKept)
  if (!isElsewhere) faults.push(...(await waitForLinkGone(record.interface)))
  removeFile(paths.apiSocket)
  removeFile(paths.uapiSocket)
  if (!isElsewhere)
    faults.push(...(await runPostDown(journal, { ...context, configFile: record.configFile })))
  const isGuardsOwn = isOurGuards && !isGuardEnding(process.env)
  const isKeeping = !isElsewhere && (journal.record.changes.length > 0 || isGuardsOwn)
  if (!isKeeping) journal.delete()
  return { faults, kept: isKeeping && faults.length === 0 ? journal : undefined }
}

function comingBack({ interface: name }: JournalRecord): AppError {
  return new AppError(ERROR_CODES.alreadyRunning, `${name} crashed and is being started again`, {
    hint: `to end it: overlay down ${name}`,
  })
}

export function alreadyRunning(record: JournalRecord): AppError {
  const { interface: name, mode, configFile, pid } = record
  const reload = mode === 'tunnel' ? `to apply a changed file: overlay up ${configFile} --reload; ` : ''
  return new AppError(ERROR_CODES.alreadyRunning, `${name} is up already, served by process ${pid}`, {
    hint: `${reload}to end it: overlay down ${name}`,
  })
}

/** True if there is nothing to undo here: the network namespace of the changes is gone, or had none. */
function requireSameNamespace(record: JournalRecord): boolean {
  if (record.namespace === networkNamespace()) return false
  if (record.changes.length + record.postDown.length === 0) return true
  if (!isNamespaceAlive(record.namespace)) return true
  const name = tryNamespaceName(record.namespace)
  throw new AppError(
    ERROR_CODES.platform,
    `${record.interface} was brought up in another network namespace, ${name ?? record.namespace}`,
    { hint: `type: ip netns exec ${name ?? 'NAME'} overlay down ${record.interface}` },
  )
}

/** The interface goes when the kernel has closed the descriptors of the dead process. */
async function waitForLinkGone(name: string): Promise<string[]> {
  for (let waitedMs = 0; tryFindLink(name) !== undefined; waitedMs += LINK_POLL_MS) {
    if (waitedMs >= LINK_WAIT_MS) {
      return [`interface ${name} is still there: another process holds it (sudo ip link delete ${name})`]
    }
    await new Promise((resolve) => setTimeout(resolve, LINK_POLL_MS))
  }
  return []
}
