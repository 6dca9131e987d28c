/** The relays of a network besides the hub's own, as its settings name them, and their administration. */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { RelayInfo } from '../control/messages.js'
import type { HubEffect } from '../hub/effects.js'
import type { Hub } from '../hub/hub.js'
import { checked } from './api-request.js'
import type { Route } from './api-server.js'
import { type HubRelay, relayOrder } from './hub-schema.js'
import { type HubPaths, type HubSettings, replaceHubSettings } from './hub-state.js'

const MAX_RELAYS = 63

export class HubRelays {
  readonly #paths: HubPaths
  readonly #settings: HubSettings
  readonly #nowMs: () => number
  #relays: readonly RelayInfo[]

  constructor(paths: HubPaths, settings: HubSettings, nowMs: () => number) {
    this.#paths = paths
    this.#settings = settings
    this.#relays = settings.relays
    this.#nowMs = nowMs
  }

  get all(): readonly RelayInfo[] {
    return this.#relays
  }

  describe(hub: Hub): HubRelay[] {
    return this.#relays.map((relay) => {
      const { isConnected, isCurrent, heardAtMs } = hub.relays.presenceOf(relay.key)
      const heardAgoS = heardAtMs === undefined ? null : Math.round((this.#nowMs() - heardAtMs) / 1000)
      return { ...relay, isConnected, isCurrent, heardAgoS }
    })
  }

  routes(hub: Hub, carryOut: <T>(change: (effects: HubEffect[]) => T) => T): [string, Route][] {
    const change = (work: (relay: RelayInfo) => readonly RelayInfo[]): Route => {
      return (body) => {
        const relay = checked(relayOrder, body)
        this.#replace(work(relay))
        carryOut((effects) => hub.handleRelaysChanged(effects))
        return this.describe(hub)
      }
    }
    return [
      ['GET /v1/relays', () => this.describe(hub)],
      ['POST /v1/relays/add', change((relay) => this.#with(relay))],
      ['POST /v1/relays/remove', change((relay) => this.#without(relay))],
    ]
  }

  /** One with the same key, or at the same place, is replaced. */
  #with(relay: RelayInfo): RelayInfo[] {
    const others = this.#relays.filter((other) => other.key !== relay.key && !isAtSamePlace(other, relay))
    if (others.length < MAX_RELAYS) return [...others, relay]
    throw new AppError(ERROR_CODES.limit, `there are ${MAX_RELAYS} relays already`, {
      hint: 'remove one first: overlay hub relay remove HOST:PORT:KEY',
    })
  }

  #without(relay: RelayInfo): RelayInfo[] {
    const others = this.#relays.filter((other) => other.key !== relay.key)
    if (others.length < this.#relays.length) return others
    throw new AppError(ERROR_CODES.notFound, 'the hub knows no relay with this key', {
      hint: 'see all of them: overlay hub relay list',
    })
  }

  /** On disk first. */
  #replace(relays: readonly RelayInfo[]): void {
    replaceHubSettings(this.#paths, { ...this.#settings, relays })
    this.#relays = relays
  }
}

function isAtSamePlace(one: RelayInfo, other: RelayInfo): boolean {
  return one.host === other.host && one.port === other.port
}
