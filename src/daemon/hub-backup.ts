/**
 * Writes all that a hub keeps into one file (backup-file.ts), whether the hub runs or not: the store is copied by
 * a reader of its own, which waits for nobody and lets nobody wait.
 */

import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { copySqliteStore } from '../hub/io/sqlite-store.js'
import { wallNowMs } from '../platform/clock.js'
import { toPlatformError } from '../platform/system-error.js'
import { nodeCrypto } from '../wireguard/crypto-node.js'
import { formatBackup, STATE_FILE_NAME } from './backup-file.js'
import { type HubPaths, readHubSecrets, readHubSettings } from './hub-state.js'

const FILE_MODE = 0o600

export interface BackupResult {
  readonly path: string
  readonly network: string
  readonly nodes: number
  readonly sizeBytes: number
}

/** `isForced`: replaces a file that is there. Throws AppError; then nothing is left behind. */
export async function backupHub(paths: HubPaths, path: string, isForced: boolean): Promise<BackupResult> {
  // What is written must be of use later, so it is read as a start of the hub reads it.
  readHubSettings(paths)
  readHubSecrets(paths, nodeCrypto)
  const files = Object.fromEntries(
    readdirSync(paths.directory)
      .filter((name) => STATE_FILE_NAME.test(name) && !name.endsWith('.tmp'))
      .map((name) => [name, readFileSync(join(paths.directory, name), 'utf8')]),
  )
  const draft = `${path}.tmp`
  try {
    reserve(draft)
    const { network, nodes } = await copySqliteStore(paths.store, draft)
    const createdAt = new Date(wallNowMs()).toISOString()
    const text = formatBackup({ createdAt, network, files, store: readFileSync(draft) })
    writeWhole(draft, text)
    publish(draft, path, isForced)
    return { path, network, nodes, sizeBytes: text.length }
  } catch (error) {
    throw error instanceof AppError ? error : toPlatformError(error, `cannot write a backup to ${path}`)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Empty, and for its owner alone before anything is in it. */
function reserve(path: string): void {
  rmSync(path, { force: true })
  closeSync(openSync(path, 'wx', FILE_MODE))
}

function writeWhole(path: string, text: string): void {
  const fd = openSync(path, 'w')
  try {
    writeFileSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** A link is made or not, also if another backup writes the same file at the same time. */
function publish(draft: string, path: string, isForced: boolean): void {
  if (isForced) {
    renameSync(draft, path)
    return
  }
  try {
    linkSync(draft, path)
  } catch (error) {
    const failure = toPlatformError(error, `cannot write a backup to ${path}`)
    if (failure.errno !== 'EEXIST') throw failure
    throw new AppError(ERROR_CODES.conflict, `there is a file ${path} already`, {
      hint: 'give the path of a new file; or replace that one with --force',
      cause: error,
    })
  }
}
