/** Turns what Node throws for a failed system call into a PlatformError that names the thing. */

import { PlatformError } from '../base/errors.js'

interface SystemCallError extends Error {
  readonly code: string
  readonly syscall?: string
}

function isSystemCallError(error: unknown): error is SystemCallError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}

/**
 * `what`: for example `cannot read /etc/overlay/wg0.conf`. `permissionHint` is shown only where
 * privilege is what is missing. A PlatformError is passed through; anything else is a fault of ours
 * and is thrown on.
 */
export function toPlatformError(error: unknown, what: string, permissionHint = ''): PlatformError {
  if (error instanceof PlatformError) return error
  if (!isSystemCallError(error)) throw error
  const denied = error.code === 'EPERM' || error.code === 'EACCES' || error.code === 'EROFS'
  return new PlatformError(`${what}: ${error.code}`, {
    errno: error.code,
    syscall: error.syscall ?? '',
    hint: denied ? permissionHint : '',
    cause: error,
  })
}
