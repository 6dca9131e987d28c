/**
 * The keys that a node or a relay knows its hub by: that of its file or command line, or the one that followed it, as the hub said in a session
 * that the key before had proven. It is on disk before it is used. Pure.
 */

import { z } from 'zod'
import type { KeyChange } from '../../control/directory.js'
import { formatKeyBase64, type PublicKey, tryParseKeyBase64 } from '../../wireguard/keys.js'

const base64Key = z.string().length(44)
export const storedHubKey: z.ZodType<StoredHubKey> = z.object({
  fileKey: z.string(),
  key: base64Key,
  previous: base64Key,
  untilS: z.number().int().min(0),
})

/** Keys in base64. */
export interface StoredHubKey {
  /** As the file has it: with another there, somebody joined anew, and this is of no use. */
  readonly fileKey: string
  readonly key: string
  readonly previous: string
  /** Seconds since 1970, until which the previous one counts too. */
  readonly untilS: number
}

export interface HubKeysOptions {
  /** Of the tunnel file. */
  readonly fileKey: PublicKey
  readonly stored: StoredHubKey | undefined
  /** Lasting when it returns. Throws AppError. */
  readonly save: (stored: StoredHubKey) => void
  readonly wallNowMs: () => number
}

export class HubKeys {
  readonly #options: HubKeysOptions
  readonly #fileKey: string
  #stored: StoredHubKey | undefined

  constructor(options: HubKeysOptions) {
    this.#options = options
    this.#fileKey = formatKeyBase64(options.fileKey)
    this.#stored = options.stored?.fileKey === this.#fileKey ? options.stored : undefined
  }

  /** Those that count, the newest first. */
  get all(): readonly PublicKey[] {
    if (this.#stored === undefined) return [this.#options.fileKey]
    const { key, previous, untilS } = this.#stored
    const texts = untilS * 1000 > this.#options.wallNowMs() ? [key, previous] : [key]
    return texts.flatMap((text) => tryParseKeyBase64<PublicKey>(text) ?? [])
  }

  /** True if that was news. Throws AppError: it could not be written, and nothing has changed. */
  learn({ key, untilS }: KeyChange): boolean {
    const current = this.#stored?.key ?? this.#fileKey
    if (key === current || tryParseKeyBase64<PublicKey>(key) === undefined) return false
    const isPrevious = key === this.#stored?.previous
    if (isPrevious) return false // a hub of before the change: it will hear of it itself
    const stored = { fileKey: this.#fileKey, key, previous: current, untilS }
    this.#options.save(stored)
    this.#stored = stored
    return true
  }
}
