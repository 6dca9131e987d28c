/** The two clocks. All intervals use the boot clock; the wall clock is for TAI64N, logs and display. */

import { nativeAddon } from './addon.js'

/** Milliseconds since boot with fraction; runs through suspend, never jumps. */
export function bootNowMs(): number {
  return nativeAddon().bootNowMs()
}

/** Milliseconds since 1970. */
export function wallNowMs(): number {
  return Date.now()
}
