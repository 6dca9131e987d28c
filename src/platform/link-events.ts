/** Events of links, addresses and routes of this machine, as they happen and whoever caused them. */

import type { Prefix } from '../net/prefix.js'
import { nativeAddon } from './addon.js'
import { callNative } from './native-error.js'
import type { LinkInfo } from './network.js'

export type NetworkEvent =
  /** A link appeared, changed or went. */
  | ({ readonly kind: 'link'; readonly removed: boolean } & LinkInfo)
  | {
      readonly kind: 'address'
      readonly linkIndex: number
      readonly prefix: Prefix
      readonly removed: boolean
    }
  /** Routes or rules are others; only where asked for. */
  | { readonly kind: 'routes' }
  /** Too many events at once: some were lost, look at everything anew. */
  | { readonly kind: 'lost' }

/** Calls the listener until stop(), which is idempotent; keeps the process alive until then. */
export function watchLinks(
  listener: (event: NetworkEvent) => void,
  options: { readonly hasRoutes?: boolean } = {},
): { stop(): void } {
  const { LinkMonitor } = nativeAddon()
  let isStopped = false
  const monitor = callNative(
    'watch network interfaces',
    () => new LinkMonitor(handleReady, options.hasRoutes ?? false),
  )

  function handleReady(): void {
    const events = callNative('read events of network interfaces', () => monitor.read())
    for (const event of events) if (!isStopped) listener(event)
  }

  return {
    stop() {
      isStopped = true
      monitor.close()
    },
  }
}
