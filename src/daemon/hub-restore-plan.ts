/**
 * What a restore of a hub would do, found out without a change to anything: what comes back that was decided
 * otherwise since, what is lost, and whether it needs force.
 *
 * What happened after the backup is known where the store that is there can be read, and is of the same network.
 */

import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { withScratchCopy, withScratchFile } from '../hub/io/scratch-copy.js'
import { openSqliteStore } from '../hub/io/sqlite-store.js'
import type { NodeRecord, Store } from '../hub/store.js'
import { toPlatformError } from '../platform/system-error.js'
import { nodeCrypto } from '../wireguard/crypto-node.js'
import { type HubBackup, parseBackup } from './backup-file.js'
import { isNextKey, tryParseHubKeys } from './hub-keys.js'
import {
  type HubPaths,
  type HubSettings,
  hubCommand,
  readHubSecrets,
  readHubSettings,
  tryParseHubSettings,
} from './hub-state.js'

/** What became of a network after the backup. */
interface Aftermath {
  /** Names of nodes of the backup that are in it no longer. */
  readonly gone: readonly string[]
  /** Names of nodes that the backup does not know. */
  readonly joined: readonly string[]
}

/** `later`: there is one that followed that of the backup, and stays. `unknown`: there is none, or a damaged one. */
type KeyRelation = 'same' | 'later' | 'other' | 'unknown'

export interface RestorePlan {
  readonly network: string
  readonly settings: HubSettings
  /** RFC 3339: of the backup. */
  readonly createdAt: string
  /** All that will be in the network. */
  readonly nodes: readonly NodeRecord[]
  /** Tokens that the backup holds. */
  readonly tokens: number
  readonly key: KeyRelation
  /** Undefined if that cannot be known. */
  readonly since: Aftermath | undefined
  /** Why nothing is restored without force; undefined if nothing speaks against it. */
  readonly obstacle: AppError | undefined
}

export interface ReadRestore {
  readonly plan: RestorePlan
  readonly backup: HubBackup
  /** Text of the key that stays. */
  readonly laterKey: string | undefined
}

/** `path`: of the backup. Throws AppError if that is of no use. */
export async function readRestore(paths: HubPaths, path: string): Promise<ReadRestore> {
  const backup = parseBackup(readBackup(path), path)
  const settings = tryParseHubSettings(textOf(backup, paths.settings))
  if (settings === undefined) throw useless(`the backup holds no settings that this program knows`)
  for (const needed of [paths.key, paths.certificate]) textOf(backup, needed)
  const { network, createdAt } = backup
  const { nodes, tokens } = await withScratchFile(backup.store, async (copy) => await contentOf(copy, path))
  const { key, laterKey } = compareKeys(paths, backup)
  const present = key === 'other' ? undefined : await tryReadPresent(paths)
  const since = present === undefined ? undefined : aftermath(nodes, present.nodes)
  const obstacle = obstacleOf(paths, { key, createdAt, isSound: present !== undefined && isStartable(paths) })
  return {
    plan: { network, settings, createdAt, nodes, tokens: tokens.length, key, since, obstacle },
    backup,
    laterKey,
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

type Content = Pick<{ [K in 'nodes' | 'tokens']: ReturnType<Store[K]> }, 'nodes' | 'tokens'>

/** `name`: of the file, for people. */
async function contentOf(path: string, name: string): Promise<Content> {
  const store = await openSqliteStore(path, name)
  try {
    const nodes = [...store.nodes()].sort((one, other) => one.name.localeCompare(other.name))
    return { nodes, tokens: store.tokens() }
  } finally {
    store.close()
  }
}

/** Undefined if there is none that could be started. */
async function tryReadPresent({ store }: HubPaths): Promise<Content | undefined> {
  try {
    return await withScratchCopy(store, undefined, async (copy) => await contentOf(copy, store))
  } catch {
    return undefined
  }
}

/** All that a start reads beside the store can be read: where it cannot, a start says to restore a backup. */
function isStartable(paths: HubPaths): boolean {
  try {
    readHubSettings(paths)
    readHubSecrets(paths, nodeCrypto)
    return true
  } catch {
    return false
  }
}

function compareKeys(
  paths: HubPaths,
  backup: HubBackup,
): { readonly key: KeyRelation; readonly laterKey: string | undefined } {
  if (!existsSync(paths.key)) return { key: 'unknown', laterKey: undefined }
  const [text, before] = [readFileSync(paths.key, 'utf8'), textOf(backup, paths.key)]
  if (text === before) return { key: 'same', laterKey: undefined }
  const [earlier, later] = [before, text].map(tryParseHubKeys)
  // A damaged one is nobody's.
  if (later === undefined) return { key: 'unknown', laterKey: undefined }
  const isLater = earlier && isNextKey(nodeCrypto, earlier, later)
  return isLater === true ? { key: 'later', laterKey: text } : { key: 'other', laterKey: undefined }
}

function aftermath(then: readonly NodeRecord[], now: readonly NodeRecord[]): Aftermath {
  const isMissingIn = (list: readonly NodeRecord[]) => {
    const identities = new Set(list.map(({ identity }) => identity))
    return ({ identity }: NodeRecord): boolean => !identities.has(identity)
  }
  const namesOf = (list: readonly NodeRecord[]): string[] => list.map(({ name }) => name)
  return { gone: namesOf(then.filter(isMissingIn(now))), joined: namesOf(now.filter(isMissingIn(then))) }
}

/** Nothing that works, and nothing of another network, is replaced by accident. */
function obstacleOf(
  paths: HubPaths,
  { key, createdAt, isSound }: { key: KeyRelation; createdAt: string; isSound: boolean },
): AppError | undefined {
  const { directory } = paths
  if (key === 'other') {
    return new AppError(ERROR_CODES.alreadyRunning, `there is another hub in ${directory}`, {
      hint: 'choose another directory with --state; or put it aside with --force',
    })
  }
  if (key === 'unknown' || !isSound) return undefined
  const message = `the hub in ${directory} is sound, and knows what was decided after ${createdAt}`
  return new AppError(ERROR_CODES.alreadyRunning, message, {
    hint: `start it: ${hubCommand(paths)} start; or go back to the backup all the same with --force`,
  })
}
