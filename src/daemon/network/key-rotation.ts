/**
 * This node's tunnel key, and its change from time to time.
 *
 * A change loses nothing: the new key is on disk before anybody hears of it, the device goes on answering to
 * the previous one, and peers that were not told yet are reached by it, until the overlap ends. Nothing is
 * changed without a hub to tell it, nor while there are peers that know the key by heart.
 */

import { equalBytes } from '../../base/bytes.js'
import type { Logger } from '../../base/log.js'
import type { Identity } from '../../control/identity.js'
import { type SignedTunnelKeys, signTunnelKey } from '../../control/tunnel-key.js'
import type { Crypto, DhPrivateKey, RandomBytes } from '../../wireguard/crypto.js'
import { formatShortKey, type PrivateKey } from '../../wireguard/keys.js'
import type { OwnKeys } from '../../wireguard/peer-keys.js'
import type { Engine } from '../engine.js'
import { type KeyFiles, keyNumberOf, type StoredKey } from './key-files.js'

const DAY_S = 86_400
/** Renewed at every start and every day: long enough for a node that was away, short enough for a lost key. */
const VALIDITY_DAYS = 90
export const KEY_LIFETIME_S: number = 30 * DAY_S
/**
 * A peer that was without the hub for so long is still linked to: a machine left off over a holiday, or a hub
 * whose owner is away. Longer would keep a key in use that was to be retired.
 */
const MAX_OVERLAP_S: number = 7 * DAY_S
const MAX_CHECK_INTERVAL_MS: number = 3600_000
const CHECKS_PER_LIFETIME = 20

export interface KeyRotationOptions {
  readonly identity: Identity
  readonly staticKey: DhPrivateKey
  /** Undefined if the key stands in the tunnel file itself: then it is the user's to change. */
  readonly files: KeyFiles | undefined
  /** Wall clock, ms, of the tunnel file: the key in it is not older. Counts where there are no `files`. */
  readonly fileSinceMs: number
  readonly lifetimeS: number
  readonly engine: Pick<Engine, 'configure' | 'snapshot'>
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly wallNowMs: () => number
  readonly log: Logger
}

export interface KeyRotationHandlers {
  /** Whether the hub would hear of a change. */
  readonly isConnected: () => boolean
  /** Keys or signatures are others now: a signature has a span, and a daemon may run for longer than that. */
  readonly onDue: () => void
}

export class KeyRotation {
  readonly #options: KeyRotationOptions
  readonly #overlapMs: number
  #own: OwnKeys
  #number: number
  #overlapEndMs = 0
  #signedMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: KeyRotationOptions) {
    this.#options = options
    // Never two previous keys at once.
    this.#overlapMs = Math.min(MAX_OVERLAP_S, options.lifetimeS / 2) * 1000
    this.#own = { current: options.staticKey, previous: undefined }
    this.#number = keyNumberOf(options.files?.readCurrent().sinceMs ?? options.fileSinceMs)
    const stored = this.#tryReadPrevious()
    if (stored === undefined) return
    const previous = options.crypto.dhPrivateKey(stored.key)
    // Killed in the middle of a change: there are not two yet.
    if (equalBytes(previous.publicKey, options.staticKey.publicKey)) return
    this.#own = { current: options.staticKey, previous }
    this.#overlapEndMs = stored.sinceMs + this.#overlapMs
  }

  get own(): OwnKeys {
    return this.#own
  }

  /** As peers are to know them from now on. */
  signed(): SignedTunnelKeys {
    const { identity, wallNowMs } = this.#options
    const { current, previous } = this.#own
    const terms = { number: this.#number, ...validitySpan(wallNowMs()) }
    const tunnelKey = signTunnelKey(identity, current.publicKey, terms)
    if (previous === undefined) return { tunnelKey }
    const notAfter = Math.ceil(this.#overlapEndMs / 1000 / DAY_S) * DAY_S
    return {
      tunnelKey,
      previousTunnelKey: signTunnelKey(identity, previous.publicKey, { ...terms, notAfter }, 'previous'),
    }
  }

  start(handlers: KeyRotationHandlers): void {
    const { engine, lifetimeS, wallNowMs } = this.#options
    const { previous } = this.#own
    if (previous !== undefined) engine.configure({ previousPrivateKey: previous.bytes, peers: [] })
    const intervalMs = Math.min(MAX_CHECK_INTERVAL_MS, (lifetimeS * 1000) / CHECKS_PER_LIFETIME)
    this.#signedMs = wallNowMs()
    this.#timer = setInterval(() => {
      const isRenewalDue = wallNowMs() - this.#signedMs >= DAY_S * 1000
      if (!this.check(handlers.isConnected()) && !isRenewalDue) return
      this.#signedMs = wallNowMs()
      handlers.onDue()
    }, intervalMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    if (this.#own.previous !== undefined) this.#forgetPrevious()
  }

  /** Does what is due. True if the keys are others now. */
  check(isConnected: boolean): boolean {
    const { files, wallNowMs, log } = this.#options
    if (files === undefined) return false
    try {
      if (this.#own.previous === undefined) return isConnected && this.#rotateIfDue(files)
      if (wallNowMs() < this.#overlapEndMs) return false
      files.deletePrevious()
      this.#forgetPrevious()
      log.info('key.overlap_ended')
      return true
    } catch (error) {
      log.warn('key.unchanged', { reason: error instanceof Error ? error.message : String(error) })
      return false
    }
  }

  #rotateIfDue(files: KeyFiles): boolean {
    const { crypto, random, engine, lifetimeS, wallNowMs, log } = this.#options
    const { current } = this.#own
    const stored = files.readCurrent()
    if (wallNowMs() - stored.sinceMs < lifetimeS * 1000) return false
    const { privateKey, peers } = engine.snapshot()
    // Somebody else has put a key of their own there, or in the file.
    if (!this.#isCurrent(stored.key) || privateKey === undefined || !this.#isCurrent(privateKey)) return false
    if (peers.some(({ isManaged }) => !isManaged)) return false
    const next = crypto.dhPrivateKey(random(32))
    files.replace(current.bytes, next.bytes, wallNowMs())
    this.#number = keyNumberOf(files.readCurrent().sinceMs)
    engine.configure({ privateKey: next.bytes, previousPrivateKey: current.bytes, peers: [] })
    this.#own = { current: next, previous: current }
    this.#overlapEndMs = wallNowMs() + this.#overlapMs
    log.info('key.rotated', { publicKey: formatShortKey(next.publicKey) })
    return true
  }

  #forgetPrevious(): void {
    this.#own.previous?.wipe()
    this.#own = { current: this.#own.current, previous: undefined }
    this.#options.engine.configure({ previousPrivateKey: null, peers: [] })
  }

  #isCurrent(privateKey: PrivateKey): boolean {
    const key = this.#options.crypto.dhPrivateKey(privateKey)
    const isSame = equalBytes(key.publicKey, this.#own.current.publicKey)
    key.wipe()
    return isSame
  }

  /** One that cannot be read is lost: peers that know no other are out of reach until the hub tells them. */
  #tryReadPrevious(): StoredKey | undefined {
    try {
      const { files, wallNowMs } = this.#options
      const stored = files?.readPrevious()
      if (stored === undefined || wallNowMs() < stored.sinceMs + this.#overlapMs) return stored
      // The overlap ended while nobody was there: a hub takes no signature that has expired.
      files?.deletePrevious()
      return undefined
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#options.log.warn('key.previous_unreadable', { reason })
      return undefined
    }
  }
}

/** Of whole days, so that a key signed twice a day has one signature. */
export function validitySpan(nowMs: number): { notBefore: number; notAfter: number } {
  const today = Math.floor(nowMs / 1000 / DAY_S) * DAY_S
  return { notBefore: today - DAY_S, notAfter: today + VALIDITY_DAYS * DAY_S }
}
