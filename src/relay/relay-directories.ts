/** What a relay believes that serves several networks, and identities that need none. */

import { formatBase64 } from '../base/bytes.js'
import type { RelayDirectory } from './directory.js'
import type { HubDirectory } from './hub-directory.js'

export interface RelayDirectoriesOptions {
  /** Of the networks that were heard of, as they are now. */
  readonly networks: () => Iterable<HubDirectory>
  /** Identities, in base64, that come in and talk with each other whatever a hub says. */
  readonly allowed: ReadonlySet<string>
}

export class RelayDirectories implements RelayDirectory {
  readonly #options: RelayDirectoriesOptions

  constructor(options: RelayDirectoriesOptions) {
    this.#options = options
  }

  mayEnter(identity: Uint8Array, ticket: Uint8Array): boolean {
    if (this.#options.allowed.has(formatBase64(identity))) return true
    for (const network of this.#options.networks()) if (network.mayEnter(identity, ticket)) return true
    return false
  }

  mayTalk(one: string, other: string): boolean {
    const { allowed, networks } = this.#options
    if (allowed.has(one) && allowed.has(other)) return true
    for (const network of networks()) if (network.mayTalk(one, other)) return true
    return false
  }

  /** Of those that one network lets go, who is not welcome for another reason. */
  unwelcome(gone: ReadonlySet<string>, from: HubDirectory): ReadonlySet<string> {
    const { allowed, networks } = this.#options
    const others = [...networks()].filter((network) => network !== from)
    const stays = (one: string): boolean => allowed.has(one) || others.some((network) => network.has(one))
    return new Set([...gone].filter((one) => !stays(one)))
  }
}
