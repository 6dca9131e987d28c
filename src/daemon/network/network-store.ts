/**
 * What a node keeps of its network through restarts, in files (0600) of the state directory. They hold no key
 * of ours, but tell who is in the network.
 *
 * `IF.netmap.json` is what the hub said last. It may be lost: the hub says it anew. `IF.trust.json` is what the
 * node decided or saw first, and is never to forget: the yes of its user, that the network asks for one, whose a
 * name was, how new a key was. INVARIANT: where it is there and cannot be read, there is no trust at all.
 * `IF.hubkey.json` is the hub's key, if it is another than that of the tunnel file; the same holds for it.
 */

import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { AppError, ERROR_CODES } from '../../base/errors.js'
import type { Logger } from '../../base/log.js'
import { hubMessage, MAX_CONSENTS, nodeInfo, type Welcome } from '../../control/messages.js'
import type { StoredNetmap } from '../../control/netmap.js'
import { replaceFile } from '../../platform/replace-file.js'
import { toPlatformError } from '../../platform/system-error.js'
import { type StoredHubKey, storedHubKey } from './hub-keys.js'
import type { StoredTrust } from './trust.js'

const STATE_DIRECTORY = '/var/lib/overlay'
const WRITE_DELAY_MS = 500
/** After a failure: doubled with each. */
const RETRY_MS = 2000
const MAX_RETRY_MS = 60_000

export interface StoredNetwork {
  /** Base64; what another hub said is of no use. */
  readonly hubKey: string
  readonly welcome: Welcome
  readonly netmap: StoredNetmap
  /** Seconds, by the hub's clock: when it said that this node is none of it any more. */
  readonly removedAtS?: number | undefined
}

/** All that is to be stored from time to time. */
export interface StoredState {
  /** Undefined before the hub has said anything. */
  readonly network: StoredNetwork | undefined
  readonly trust: StoredTrust
}

const seconds = z.number().int().min(0)

const storedNetwork: z.ZodType<{
  hubKey: string
  welcome: z.infer<typeof hubMessage>
  netmap: StoredNetmap
  removedAtS?: number | undefined
}> = z.object({
  hubKey: z.string(),
  welcome: hubMessage,
  netmap: z.object({ nodes: z.array(nodeInfo) }),
  removedAtS: seconds.optional(),
})

const storedTrust: z.ZodType<StoredTrust> = z.object({
  pins: z.object({
    owners: z.record(z.string(), z.string()),
    keys: z.record(z.string(), z.object({ number: seconds, notAfter: seconds })),
  }),
  consents: z.object({
    isNeeded: z.boolean(),
    given: z.array(z.object({ identity: z.string(), name: z.string() })).max(MAX_CONSENTS),
  }),
})

export class NetworkStore {
  readonly #netmapPath: string
  readonly #trustPath: string
  readonly #hubKeyPath: string
  readonly #log: Logger
  #timer: NodeJS.Timeout | undefined
  #retryMs = RETRY_MS
  #fault = ''
  /** As the file holds it. */
  #savedTrust = ''

  /** Throws PlatformError. */
  constructor(interfaceName: string, log: Logger, directory: string = STATE_DIRECTORY) {
    this.#netmapPath = join(directory, `${interfaceName}.netmap.json`)
    this.#trustPath = join(directory, `${interfaceName}.trust.json`)
    this.#hubKeyPath = join(directory, `${interfaceName}.hubkey.json`)
    this.#log = log
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw toPlatformError(error, `cannot make ${directory}`, 'run as root, for example with sudo')
    }
  }

  /** Why the last write failed, in words; empty if it did not. */
  get fault(): string {
    return this.#fault
  }

  /** Undefined if there is nothing of this hub, or nothing that can be used. */
  tryReadNetwork(hubKeyText: string): StoredNetwork | undefined {
    try {
      const { welcome, ...rest } = storedNetwork.parse(readJson(this.#netmapPath))
      if (rest.hubKey !== hubKeyText || welcome.type !== 'welcome') return undefined
      return { welcome, ...rest }
    } catch (error) {
      if (!isAbsent(error)) this.#log.warn('netmap.unreadable', { file: this.#netmapPath })
      return undefined
    }
  }

  /** Undefined if nothing was kept yet. Throws AppError if something was and cannot be read. */
  readTrust(): StoredTrust | undefined {
    try {
      const trust = storedTrust.parse(readJson(this.#trustPath))
      this.#savedTrust = JSON.stringify(trust)
      return trust
    } catch (error) {
      if (isAbsent(error)) return undefined
      const path = this.#trustPath
      const hint =
        `put it back from a copy; or, to forget whom this node trusts, and be asked anew: rm ${path} ` +
        '(then compare identities before you say yes: overlay trust)'
      const message = `cannot read ${path}, which says whom this node trusts: ${reasonOf(error)}`
      throw new AppError(ERROR_CODES.config, message, { hint, cause: error })
    }
  }

  /** Undefined if the hub's key was never changed. Throws AppError if it was, and cannot be read. */
  readHubKey(): StoredHubKey | undefined {
    try {
      return storedHubKey.parse(readJson(this.#hubKeyPath))
    } catch (error) {
      if (isAbsent(error)) return undefined
      const path = this.#hubKeyPath
      const message = `cannot read ${path}, which holds the key of the hub: ${reasonOf(error)}`
      const hint = `put it back from a copy; or type: rm ${path}, and join with a new token: overlay join --new-key`
      throw new AppError(ERROR_CODES.config, message, { hint, cause: error })
    }
  }

  /** At once and lasting. Throws AppError; then the file is as it was. */
  saveHubKey(stored: StoredHubKey): void {
    replaceFile(this.#hubKeyPath, JSON.stringify(stored), `cannot write ${this.#hubKeyPath}`)
  }

  /** At once and lasting. Throws AppError; then the file is as it was. */
  saveTrust(trust: StoredTrust): void {
    const text = JSON.stringify(trust)
    if (text === this.#savedTrust) return
    replaceFile(this.#trustPath, text, `cannot write ${this.#trustPath}, so nothing was changed`)
    this.#savedTrust = text
  }

  /** Many changes at once make one write. What fails is tried again, ever more seldom. */
  writeSoon(content: () => StoredState): void {
    this.#timer ??= setTimeout(() => {
      if (this.flush(content)) return
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        this.writeSoon(content)
      }, this.#retryMs)
      this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS)
    }, WRITE_DELAY_MS)
  }

  /** False if it failed: the log and `fault` say why. */
  flush(content: () => StoredState): boolean {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const { network, trust } = content()
    try {
      this.saveTrust(trust)
      if (network !== undefined) {
        replaceFile(this.#netmapPath, JSON.stringify(network), `cannot write ${this.#netmapPath}`)
      }
      this.#fault = ''
      this.#retryMs = RETRY_MS
      return true
    } catch (error) {
      const reason = reasonOf(error)
      if (reason !== this.#fault) this.#log.warn('network.unsaved', { reason })
      this.#fault = reason
      return false
    }
  }

  /** Of a node that has left. */
  delete(): void {
    clearTimeout(this.#timer)
    for (const path of [this.#netmapPath, this.#trustPath, this.#hubKeyPath]) rmSync(path, { force: true })
  }
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** Of what zod says, only that: its whole list helps nobody. */
function reasonOf(error: unknown): string {
  if (error instanceof z.ZodError) return 'it is damaged'
  return error instanceof Error ? error.message : String(error)
}
