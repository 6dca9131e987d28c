/**
 * Brings a hub back from a backup. What was there before is put aside, never deleted.
 *
 * A backup does not know what was decided after it: nodes that were removed since are in the network again, and
 * join tokens that were used since could be used again. So tokens are revoked unless somebody keeps them, and
 * the nodes are named to whoever restores. Epochs do not fall: they follow the wall clock (revocations.ts).
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
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { openSqliteStore } from '../hub/io/sqlite-store.js'
import type { NodeRecord, Store } from '../hub/store.js'
import { wallNowMs } from '../platform/clock.js'
import { replaceFile } from '../platform/replace-file.js'
import { toPlatformError } from '../platform/system-error.js'
import { nodeCrypto } from '../wireguard/crypto-node.js'
import { type HubBackup, parseBackup } from './backup-file.js'
import { isNextKey, tryParseHubKeys } from './hub-keys.js'
import { type HubPaths, type HubSettings, STORE_ENDS, tryParseHubSettings } from './hub-state.js'

const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700

export interface RestoreRequest {
  readonly path: string
  readonly keepsTokens: boolean
  /** Also where another hub is, or one whose store is sound. */
  readonly isForced: boolean
}

export interface RestoreResult {
  readonly network: string
  readonly settings: HubSettings
  /** RFC 3339: of the backup. */
  readonly createdAt: string
  /** All that are in the network again. */
  readonly nodes: readonly NodeRecord[]
  /** Tokens that the backup held: revoked, or valid again. */
  readonly tokens: number
  /** Where the files of before are; undefined if there were none. */
  readonly asideIn: string | undefined
  /** The key that was there is a later one than that of the backup, and stays. */
  readonly isKeyLater: boolean
}

/** The hub does not run. Throws AppError. */
export async function restoreHub(paths: HubPaths, request: RestoreRequest): Promise<RestoreResult> {
  const backup = parseBackup(readBackup(request.path), request.path)
  const settings = tryParseHubSettings(textOf(backup, paths.settings))
  if (settings === undefined) throw useless(`the backup holds no settings that this program knows`)
  for (const path of [paths.key, paths.certificate]) textOf(backup, path)
  const laterKey = findLaterKey(paths, backup)
  if (!request.isForced) await requireRoom(paths, backup, laterKey)
  try {
    makeDirectory(paths.directory)
    const draft = `${paths.store}.tmp`
    const { nodes, tokens } = await prepareStore(draft, backup, request.keepsTokens)
    const asideIn = putAside(paths)
    renameSync(draft, paths.store)
    for (const name of Object.keys(backup.files).sort(keyLast(basename(paths.key)))) {
      const text = name === basename(paths.key) ? (laterKey ?? backup.files[name]) : backup.files[name]
      replaceFile(join(paths.directory, name), text ?? '', `cannot write ${name}`)
    }
    giveToOwner(paths, backup)
    const { network, createdAt } = backup
    return { network, settings, createdAt, nodes, tokens, asideIn, isKeyLater: laterKey !== undefined }
  } catch (error) {
    if (error instanceof AppError) throw error
    throw toPlatformError(error, `cannot write to ${paths.directory}`, 'run as root, for example with sudo')
  }
}

function readBackup(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw toPlatformError(error, `cannot read ${path}`, 'run as root, for example with sudo')
  }
}

function textOf({ files }: HubBackup, path: string): string {
  const text = files[basename(path)]
  if (text !== undefined) return text
  throw useless(`the backup lacks ${basename(path)}`)
}

function useless(message: string): AppError {
  return new AppError(ERROR_CODES.config, message, {
    hint: 'give another file that this wrote: overlay hub backup FILE',
  })
}

/** Nothing that works, and nothing of another network, is replaced by accident. */
async function requireRoom(paths: HubPaths, backup: HubBackup, laterKey: string | undefined): Promise<void> {
  const { directory } = paths
  const hint = 'choose another directory with --state; or put it aside with --force'
  const key = existsSync(paths.key) ? readFileSync(paths.key, 'utf8') : undefined
  if (key !== undefined && key !== (laterKey ?? textOf(backup, paths.key))) {
    throw new AppError(ERROR_CODES.alreadyRunning, `there is another hub in ${directory}`, { hint })
  }
  if (key === undefined || !(await isSound(paths.store))) return
  const message = `the hub in ${directory} is sound, and knows what was decided after ${backup.createdAt}`
  throw new AppError(ERROR_CODES.alreadyRunning, message, {
    hint: 'start it: overlay hub start; or go back to the backup all the same with --force',
  })
}

/** What the file with the key holds, if it is of the same hub and came after that of the backup. */
function findLaterKey(paths: HubPaths, backup: HubBackup): string | undefined {
  if (!existsSync(paths.key)) return undefined
  const text = readFileSync(paths.key, 'utf8')
  const [earlier, later] = [textOf(backup, paths.key), text].map(tryParseHubKeys)
  return earlier && later && isNextKey(nodeCrypto, earlier, later) ? text : undefined
}

async function isSound(path: string): Promise<boolean> {
  try {
    const store = await openSqliteStore(path)
    store.close()
    return true
  } catch {
    return false
  }
}

async function prepareStore(
  path: string,
  backup: HubBackup,
  keepsTokens: boolean,
): Promise<{ nodes: readonly NodeRecord[]; tokens: number }> {
  for (const end of STORE_ENDS) rmSync(`${path}${end}`, { force: true })
  writeFileSync(path, backup.store, { mode: FILE_MODE })
  const store = await openSqliteStore(path)
  try {
    const nodes = [...store.nodes()].sort((one, other) => one.name.localeCompare(other.name))
    return { nodes, tokens: settle(store, backup, keepsTokens) }
  } finally {
    store.close()
  }
}

/** Gives the number of tokens that the backup held. */
function settle(store: Store, { createdAt }: HubBackup, keepsTokens: boolean): number {
  const tokens = store.tokens()
  const atMs = wallNowMs()
  store.transaction(() => {
    if (!keepsTokens) for (const { hash } of tokens) store.deleteToken(hash)
    const kept = keepsTokens ? 'valid again' : 'revoked'
    const detail = `from a backup of ${createdAt}; ${tokens.length} tokens ${kept}`
    store.appendAudit({ atMs, event: 'hub.restored', subject: '', detail })
  })
  return tokens.length
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
