/** Readiness notification to the service manager (sd_notify protocol: one datagram of `NAME=value` lines). */

import { nativeAddon } from './addon.js'
import { callNative } from './native-error.js'

const TIMEOUT_MS = 5_000

/** Sends `text`, for instance `READY=1`. False if no service manager asked for it. Throws PlatformError. */
export function notifyServiceManager(text: string): boolean {
  const path = process.env.NOTIFY_SOCKET
  if (path === undefined || path === '') return false
  callNative(`notify the service manager at ${path}`, () =>
    nativeAddon().sendUnixDatagram(path, text, TIMEOUT_MS),
  )
  return true
}
