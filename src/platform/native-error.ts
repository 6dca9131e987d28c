/** How a failure of the addon becomes a PlatformError: message = what failed on what, hint = what to type. */

import { PlatformError } from '../base/errors.js'

interface NativeFailure extends Error {
  readonly errno: string
  readonly syscall: string
}

function isNativeFailure(error: unknown): error is NativeFailure {
  return (
    error instanceof Error &&
    'errno' in error &&
    typeof error.errno === 'string' &&
    'syscall' in error &&
    typeof error.syscall === 'string'
  )
}

const PRIVILEGE_HINT = 'run as root, or: sudo setcap cap_net_admin+ep $(which node)'

/**
 * Calls the addon. `what` completes "cannot …". `hints` gives the hint by errno; lack of privilege
 * has one already.
 */
export function callNative<T>(what: string, call: () => T, hints: Readonly<Record<string, string>> = {}): T {
  try {
    return call()
  } catch (error) {
    if (!isNativeFailure(error)) throw error
    const { errno, syscall } = error
    const isDenied = errno === 'EPERM' || errno === 'EACCES'
    throw new PlatformError(`cannot ${what}: ${errno} (${syscall})`, {
      errno,
      syscall,
      hint: hints[errno] ?? (isDenied ? PRIVILEGE_HINT : ''),
      cause: error,
    })
  }
}

/** Errno of a PlatformError; undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof PlatformError ? error.errno : undefined
}
