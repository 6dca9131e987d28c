/** Turns what Node throws for a failed system call into a PlatformError that names the thing. */

import { PlatformError } from '../base/errors.js'

interface SystemCallError extends Error {
  readonly code: string
  readonly syscall?: string
}

function isSystemCallError(error: unknown): error is SystemCallError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}

/** These are told to root, too. */
const STORAGE_HINTS: Readonly<Record<string, string>> = {
  EROFS: 'its file system is read-only here; what a container shows so is changed outside of it',
  ENOSPC: 'its file system is full: df shows which one it is',
}

/**
 * `what`: for example `cannot read /etc/overlay/wg0.conf`. `permissionHint` is shown only where
 * privilege is what is missing. A PlatformError is passed through; anything else is a fault of ours
 * and is thrown on.
 */
export function toPlatformError(error: unknown, what: string, permissionHint = ''): PlatformError {
  if (error instanceof PlatformError) return error
  if (!isSystemCallError(error)) throw error
  const denied = error.code === 'EPERM' || error.code === 'EACCES'
  return new PlatformError(`${what}: ${error.code}`, {
    errno: error.code,
    syscall: error.syscall ?? '',
    hint: denied ? permissionHint : (STORAGE_HINTS[error.code] ?? ''),
    cause: error,
  })
}
