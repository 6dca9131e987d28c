/** Native data planes: the addon's, with its failures as PlatformErrors. */

import type { NativePlaneSource } from '../dataplane/native/native-data-plane.js'
import { nativeAddon } from './addon.js'
import { callNative } from './native-error.js'
import { callForSocket } from './udp.js'

/** Loads the addon. */
export function nativePlaneSource(): NativePlaneSource {
  const { Plane, planeLayout } = nativeAddon()
  return {
    layout: planeLayout,
    open: (options, onReady) => callNative('start the native data plane', () => new Plane(options, onReady)),
    openSocket: (plane, options) =>
      callForSocket(options, ({ family, port, mark, address }) =>
        plane.openSocket(family, port, mark, address?.bytes),
      ),
    setMark: (plane, mark) => callNative(`set mark ${mark} on the UDP sockets`, () => plane.setMark(mark)),
  }
}

/** Names of the AEAD's kernels that run here, fastest first. */
export function usableAeads(): readonly string[] {
  return nativeAddon().aeadKernels()
}
