/**
 * Where a running interface keeps its files, and who may look.
 *
 * INVARIANT: the run directory belongs to the user of the daemon and is closed to everybody else,
 * so what is inside may be trusted and a socket inside is private from its first moment on.
 */

import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { PlatformError } from '../base/errors.js'
import { toPlatformError } from './system-error.js'

const RUN_DIRECTORY = '/run/overlay'
/** Fixed by the cross-platform UAPI: `wg` looks nowhere else. */
const UAPI_DIRECTORY = '/var/run/wireguard'
const PRIVATE_MODE = 0o700

export interface RunPaths {
  readonly directory: string
  readonly journal: string
  readonly apiSocket: string
  readonly uapiSocket: string
}

export function runPaths(interfaceName: string, directory: string = RUN_DIRECTORY): RunPaths {
  return {
    directory,
    journal: join(directory, `${interfaceName}.json`),
    apiSocket: join(directory, `${interfaceName}.sock`),
    uapiSocket: join(UAPI_DIRECTORY, `${interfaceName}.sock`),
  }
}

/** Makes the run directory, or checks that the one there can be trusted. */
export function ensureRunDirectory(directory: string = RUN_DIRECTORY): void {
  try {
    mkdirSync(directory, { recursive: true, mode: PRIVATE_MODE })
    const stat = lstatSync(directory)
    if (!stat.isDirectory() || stat.uid !== process.geteuid?.()) {
      throw new PlatformError(`cannot use ${directory}: it belongs to another user`, {
        errno: 'EACCES',
        syscall: 'lstat',
        hint: `run as root, for example with sudo; or look whose it is: ls -ld ${directory}`,
      })
    }
    if ((stat.mode & 0o777) !== PRIVATE_MODE) chmodSync(directory, PRIVATE_MODE)
  } catch (error) {
    throw toPlatformError(error, `cannot prepare ${directory}`, 'run as root, for example with sudo')
  }
}

/** Names of all interfaces that have a journal: running ones, and ones whose daemon died. */
export function listRunNames(directory: string = RUN_DIRECTORY): string[] {
  try {
    return readdirSync(directory)
      .filter((file) => file.endsWith('.json'))
      .map((file) => file.slice(0, -'.json'.length))
      .sort()
  } catch (error) {
    const failure = toPlatformError(error, `cannot read ${directory}`, 'run as root, for example with sudo')
    if (failure.errno === 'ENOENT') return []
    throw failure
  }
}

/** Removes a file if it is there. */
export function removeFile(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch (error) {
    throw toPlatformError(error, `cannot remove ${path}`)
  }
}
