/**
 * Follows one interface wherever it goes: up, down, its MTU, into another network namespace and back, until it is gone.
 *
 * An event only says that something changed: what holds now is asked of the TUN itself, which knows where its
 * interface is. Events come late, and index and name may be another interface's by then.
 */

import { watchLinks } from '../platform/link-events.js'
import type { LinkInfo } from '../platform/network.js'
import type { TunPlace, TunPort } from '../platform/tun.js'

/** Events of another network namespace need a privilege that the daemon does without: there it asks. */
const AWAY_POLL_MS = 500

export interface LinkWatchOptions {
  readonly tun: Pick<TunPort, 'locate'>
  readonly watch?: typeof watchLinks
  readonly onLink: (link: LinkInfo) => void
  /** It is in another network namespace than before. */
  readonly onMoved: (place: TunPlace) => void
  /** Called once. */
  readonly onGone: () => void
}

export class LinkWatch {
  readonly #options: LinkWatchOptions
  readonly #events: { stop(): void }
  #place: TunPlace | undefined
  #timer: NodeJS.Timeout | undefined

  /** Until stop(). Throws PlatformError. */
  constructor(options: LinkWatchOptions) {
    this.#options = options
    const { watch = watchLinks } = options
    this.#events = watch((event) => {
      const index = this.#place?.link?.index
      // While it is away, news of any link may be that of its coming home.
      const isOfOther = event.kind === 'link' && !this.isAway && index !== undefined && event.index !== index
      if (event.kind === 'lost' || (event.kind === 'link' && !isOfOther)) this.#look()
    })
    this.#place = options.tun.locate()
  }

  /** In a network namespace other than that of this process. */
  get isAway(): boolean {
    return this.#place?.isAway === true
  }

  /** Where it was found last; undefined once it is gone. */
  get namespace(): string | undefined {
    return this.#place?.namespace
  }

  stop(): void {
    this.#events.stop()
    clearInterval(this.#timer)
  }

  #look(): void {
    const { tun, onLink, onMoved, onGone } = this.#options
    const before = this.#place
    if (before === undefined) return
    const place = tun.locate()
    this.#place = place
    clearInterval(this.#timer)
    if (place === undefined) {
      this.stop()
      onGone()
      return
    }
    // Where the kernel does not tell namespaces, one that is not here is away.
    if (place.isAway || place.link === undefined) this.#timer = setInterval(() => this.#look(), AWAY_POLL_MS)
    if (place.namespace !== before.namespace) onMoved(place)
    if (place.link !== undefined) onLink(place.link)
  }
}
