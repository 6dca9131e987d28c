/** The keys of a running hub, and how they are changed: on disk first, then in use. */

import { randomBytes } from 'node:crypto'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { HubSigning } from '../hub/hub.js'
import type { Crypto, DhPrivateKey } from '../wireguard/crypto.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import { retireHubKeys, rotateHubKeys, SEED_BYTES } from './hub-keys.js'
import { type HubPaths, type HubSecrets, readHubKeys, readHubSecrets, replaceHubKeys } from './hub-state.js'

export class HubKeyring {
  readonly #paths: HubPaths
  readonly #crypto: Crypto
  readonly #wallNowMs: () => number
  #secrets: HubSecrets

  /** Throws AppError. */
  constructor(paths: HubPaths, crypto: Crypto, wallNowMs: () => number) {
    this.#paths = paths
    this.#crypto = crypto
    this.#wallNowMs = wallNowMs
    this.#secrets = readHubSecrets(paths, crypto)
  }

  get secrets(): HubSecrets {
    return this.#secrets
  }

  /** While a change of keys overlaps: until when, in seconds since 1970. */
  get overlapUntilS(): number | undefined {
    const { previous } = this.#secrets
    return previous !== undefined && previous.untilS * 1000 > this.#wallNowMs() ? previous.untilS : undefined
  }

  /** That nodes may make sessions with, the newest first. */
  sessionKeys(): readonly DhPrivateKey[] {
    const { session, previous } = this.#secrets
    return previous === undefined || this.overlapUntilS === undefined
      ? [session]
      : [session, previous.session]
  }

  signing(): HubSigning {
    const { session, identity, succession } = this.#secrets
    const untilS = this.overlapUntilS
    const key = formatKeyBase64(session.publicKey)
    return {
      identity,
      succession,
      change: untilS === undefined ? undefined : { type: 'hubKey', key, untilS },
    }
  }

  /** Throws AppError: then nothing has changed. */
  rotate(overlapS: number): void {
    const underWay = this.overlapUntilS
    if (underWay !== undefined) {
      const until = new Date(underWay * 1000).toISOString()
      throw new AppError(ERROR_CODES.conflict, `the keys are being changed already, until ${until}`, {
        hint: 'wait until then: nodes know no more than two keys',
      })
    }
    const untilS = Math.floor(this.#wallNowMs() / 1000) + overlapS
    const next = new Uint8Array(randomBytes(SEED_BYTES))
    replaceHubKeys(this.#paths, rotateHubKeys(this.#crypto, readHubKeys(this.#paths), next, untilS))
    this.#secrets = readHubSecrets(this.#paths, this.#crypto)
  }

  /** False if there is nothing to forget yet. Throws AppError. */
  tryRetire(): boolean {
    if (this.#secrets.previous === undefined || this.overlapUntilS !== undefined) return false
    replaceHubKeys(this.#paths, retireHubKeys(readHubKeys(this.#paths)))
    this.#secrets = readHubSecrets(this.#paths, this.#crypto)
    return true
  }
}
