/**
 * Brings a hub back from a backup. What was there before is put aside, never deleted.
 *
 * A backup does not know what was decided after it: nodes that were removed since are in the network again, and
 * join tokens that were used since could be used again. So tokens are revoked unless somebody keeps them, and
 * the nodes are named to whoever restores, before anything is changed (hub-restore-plan.ts). Epochs do not fall: they follow the wall clock (revocations.ts).
 *
 * A key that followed that of the backup, and is there still, stays: nodes that heard of it take no other.
 *
 * INVARIANT: the key is written last; a restore that broke off has left no hub, and can be repeated.
 */

import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { AppError } from '../base/errors.js'
import { openSqliteStore } from '../hub/io/sqlite-store.js'
import type { Store } from '../hub/store.js'
import { wallNowMs } from '../platform/clock.js'
import { replaceFile } from '../platform/replace-file.js'
import { toPlatformError } from '../platform/system-error.js'
import type { HubBackup } from './backup-file.js'
import { type RestorePlan, readRestore } from './hub-restore-plan.js'
import { type HubPaths, STORE_ENDS } from './hub-state.js'

const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

export interface RestoreRequest {
  readonly path: string
  readonly keepsTokens: boolean
  /** Also where another hub is, or one whose store is sound. */
  readonly isForced: boolean
  /** Told before anything is changed. */
  readonly onPlan?: (plan: RestorePlan) => void
}

export interface RestoreResult {
  readonly plan: RestorePlan
  /** Where the files of before are; undefined if there were none. */
  readonly asideIn: string | undefined
}

/** The hub does not run. Throws AppError. */
export async function restoreHub(paths: HubPaths, request: RestoreRequest): Promise<RestoreResult> {
  const { plan, backup, laterKey } = await readRestore(paths, request.path)
  request.onPlan?.(plan)
  if (plan.obstacle !== undefined && !request.isForced) throw plan.obstacle
  try {
    makeDirectory(paths.directory)
    const draft = `${paths.store}.tmp`
    await prepareStore(draft, backup, request.keepsTokens)
    const asideIn = putAside(paths)
    renameSync(draft, paths.store)
    for (const name of Object.keys(backup.files).sort(keyLast(basename(paths.key)))) {
      const text = name === basename(paths.key) ? (laterKey ?? backup.files[name]) : backup.files[name]
      replaceFile(join(paths.directory, name), text ?? '', `cannot write ${name}`)
    }
    giveToOwner(paths, backup)
    return { plan, asideIn }
  } catch (error) {
    if (error instanceof AppError) throw error
    throw toPlatformError(error, `cannot write to ${paths.directory}`, 'run as root, for example with sudo')
  }
}

async function prepareStore(path: string, backup: HubBackup, keepsTokens: boolean): Promise<void> {
  for (const end of STORE_ENDS) rmSync(`${path}${end}`, { force: true })
  writeFileSync(path, backup.store, { mode: FILE_MODE })
  const store = await openSqliteStore(path)
  try {
    settle(store, backup, keepsTokens)
  } finally {
    store.close()
  }
}

function settle(store: Store, { createdAt }: HubBackup, keepsTokens: boolean): void {
  const tokens = store.tokens()
  const atMs = wallNowMs()
  store.transaction(() => {
    if (!keepsTokens) for (const { hash } of tokens) store.deleteToken(hash)
    const kept = keepsTokens ? 'valid again' : 'revoked'
    const detail = `from a backup of ${createdAt}; ${tokens.length} tokens ${kept}`
    store.appendAudit({ atMs, event: 'hub.restored', subject: '', detail })
  })
}

function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE })
  chmodSync(path, DIRECTORY_MODE)
}

/** Gives where; undefined if there was nothing. */
function putAside(paths: HubPaths): string | undefined {
  const stores = STORE_ENDS.map((end) => `${paths.store}${end}`)
  const found = [paths.key, ...stores, paths.settings, paths.certificate].filter((path) => existsSync(path))
  if (found.length === 0) return undefined
  const stamp = new Date(wallNowMs()).toISOString().replaceAll(/[:.]/g, '-')
  const directory = join(paths.directory, `before-restore-${stamp}`)
  mkdirSync(directory, { mode: DIRECTORY_MODE })
  for (const path of found) renameSync(path, join(directory, basename(path)))
  return directory
}

function keyLast(key: string): (one: string, other: string) => number {
  return (one, other) => Number(one === key) - Number(other === key)
}

/** A hub that is started as another user than the one who restores it must be able to write. */
function giveToOwner(paths: HubPaths, { files }: HubBackup): void {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(paths.directory)
  for (const name of [basename(paths.store), ...Object.keys(files)]) {
    chownSync(join(paths.directory, name), uid, gid)
  }
}
