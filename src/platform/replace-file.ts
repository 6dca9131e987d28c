/** Writing a file whole: readers, and whoever comes after a crash, see the old content or the new, never a part. */

import {
  closeSync,
  existsSync,
  fsyncSync,
  futimesSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { toPlatformError } from './system-error.js'

const FILE_MODE = 0o600

/**
 * For its owner alone; a symbolic link stays one. `what`: for people, as `cannot save the state to …`. `modifiedMs`:
 * the time it is to bear, wall clock; that of the write if not given. Throws PlatformError.
 */
export function replaceFile(path: string, text: string, what: string, modifiedMs?: number): void {
  let draft = ''
  try {
    const target = existsSync(path) ? realpathSync(path) : path
    draft = `${target}.tmp`
    rmSync(draft, { force: true })
    const fd = openSync(draft, 'wx', FILE_MODE)
    try {
      writeFileSync(fd, text)
      if (modifiedMs !== undefined) futimesSync(fd, modifiedMs / 1000, modifiedMs / 1000)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(draft, target)
    syncDirectory(dirname(target))
  } catch (error) {
    if (draft !== '') rmSync(draft, { force: true })
    throw toPlatformError(error, what)
  }
}

/** So that the new name outlasts a loss of power. */
function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
