/** Keys are in memory: after a crash none of it may be found in a file. */

import { nativeAddon } from './addon.js'
import { callNative } from './native-error.js'

/** For the life of this process; nobody but root can attach to it from now on. Throws PlatformError. */
export function forbidDumps(): void {
  callNative('keep crashes from writing memory to disk', () => nativeAddon().forbidDumps())
}
