/**
 * A relay's session with one hub: it hears the directory of the network there (control/directory.ts), and keeps
 * it in its state directory for a start while the hub is away.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { formatBase64, formatHex } from '../base/bytes.js'
import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import {
  type DirectoryMessage,
  type KeyChange,
  type RelayMessage,
  relayMessage,
  type StoredDirectory,
  storedDirectory,
} from '../control/directory.js'
import { type Identity, tryParseIdentity } from '../control/identity.js'
import { PROOF_LABEL, type Refusal, refusalMessage } from '../control/messages.js'
import { formatHostEndpoint, type HostEndpoint } from '../net/endpoint.js'
import { replaceFile } from '../platform/replace-file.js'
import { HubDirectory } from '../relay/hub-directory.js'
import type { Crypto, RandomBytes } from '../wireguard/crypto.js'
import type { PublicKey } from '../wireguard/keys.js'
import { HubKeys, type StoredHubKey, storedHubKey } from './network/hub-keys.js'
import { ControlLink } from './network/hub-link.js'

/** Many changes at once make one write. */
const SAVE_DELAY_MS = 1000
/** Whose stay ends by its ticket is let go that late. */
const SWEEP_INTERVAL_MS = 60_000

export interface RelayHubOptions {
  readonly hub: HostEndpoint
  /** As the command line has it. */
  readonly hubKey: PublicKey
  /** The relay's own. */
  readonly identity: Identity
  /** Where what it hears is kept. */
  readonly directory: string
  readonly crypto: Crypto
  readonly random: RandomBytes
  readonly wallNowMs: () => number
  /** Boot clock. */
  readonly nowMs: () => number
  readonly log: Logger
  /** The directory says something else than before. `gone`: who is not in it any more. */
  readonly onChange: (gone: ReadonlySet<string>, directory: HubDirectory) => void
}

interface StoredHub {
  readonly network: string
  readonly ticketKey: string
  readonly directory: StoredDirectory
}

const storedHub: z.ZodType<StoredHub> = z.object({
  network: z.string(),
  ticketKey: z.string(),
  directory: storedDirectory,
})

export class RelayHub {
  readonly #options: RelayHubOptions
  readonly #link: ControlLink<RelayMessage | Refusal>
  readonly #path: string
  readonly #keyPath: string
  readonly #hubKeys: HubKeys
  #network = ''
  #ticketKey = ''
  #directory: HubDirectory | undefined
  #saveTimer: NodeJS.Timeout | undefined
  #sweepTimer: NodeJS.Timeout | undefined
  #fault = ''

  /** Throws AppError if the hub has changed its key and what was kept of that cannot be read. */
  constructor(options: RelayHubOptions) {
    this.#options = options
    const { identity, hubKey, directory, wallNowMs } = options
    const name = formatHex(hubKey.subarray(0, 8))
    this.#path = join(directory, `${name}.directory.json`)
    this.#keyPath = join(directory, `${name}.hub-key.json`)
    this.#hubKeys = new HubKeys({
      fileKey: hubKey,
      stored: readHubKey(this.#keyPath),
      save: (stored) => replaceFile(this.#keyPath, JSON.stringify(stored), `cannot write ${this.#keyPath}`),
      wallNowMs,
    })
    this.#link = new ControlLink(
      {
        ...options,
        hubKeys: () => this.#hubKeys.all,
        proxy: undefined,
        onMessage: (message) => this.#handleMessage(message),
        onState: (state) => {
          if (state.kind === 'broken') this.#handleSilence(state.reason)
        },
      },
      {
        schema: z.union([relayMessage, refusalMessage]),
        createHello: (handshakeHash) => ({
          type: 'relay',
          version: 1,
          identity: identity.text,
          proof: formatBase64(identity.sign(PROOF_LABEL, handshakeHash)),
          epoch: this.#directory?.epoch ?? 0,
        }),
        createPing: () => ({ type: 'heard', epoch: this.#directory?.epoch ?? 0 }),
        answer: 'beat',
        refusalOf: (message) => (message.type === 'refused' ? message : undefined),
      },
    )
  }

  /** Undefined before the hub was ever heard. */
  get directory(): HubDirectory | undefined {
    return this.#directory
  }

  start(): void {
    const { onChange } = this.#options
    this.#restore()
    this.#sweepTimer = setInterval(() => {
      const gone = this.#directory?.expired()
      if (this.#directory !== undefined && gone !== undefined) onChange(gone, this.#directory)
    }, SWEEP_INTERVAL_MS)
    this.#link.start()
  }

  stop(): void {
    clearInterval(this.#sweepTimer)
    this.#link.stop()
    if (this.#saveTimer !== undefined) this.#save()
  }

  /** For people. */
  describe(): string {
    const { hub, wallNowMs } = this.#options
    const place = `hub ${formatHostEndpoint(hub)}`
    if (this.#directory === undefined)
      return `${place}: never heard, so its nodes are not let in: ${this.#fault}`
    const nodes = `${this.#directory.nodeCount} nodes of ${this.#network}`
    if (this.#directory.isHeard) return `${place}: ${nodes}`
    const agoS = Math.round((wallNowMs() - this.#directory.heardAtMs) / 1000)
    return `${place}: ${nodes}, as of ${agoS} s ago: ${this.#fault}`
  }

  #handleMessage(message: RelayMessage | Refusal): void {
    switch (message.type) {
      case 'relayWelcome':
        this.#handleWelcome(message.network, message.ticketKey)
        break
      case 'directory':
        if (this.#directory !== undefined) this.#apply(message, this.#directory)
        break
      case 'beat':
        this.#directory?.handleBeat(message.atS)
        if (message.change !== undefined) this.#learnKey(message.change)
        break
      case 'refused':
        this.#handleRefusal(message)
    }
  }

  /** Told once, and not at every attempt that follows. */
  #handleRefusal({ message, hint }: Refusal): void {
    const fault = `${message} (${hint})`
    if (fault !== this.#fault) this.#options.log.warn('hub.refused', { message, hint })
    this.#fault = fault
  }

  #learnKey(change: KeyChange): void {
    const { log } = this.#options
    try {
      if (this.#hubKeys.learn(change)) log.warn('hub.key_changed', {})
    } catch (error) {
      log.error('hub.key_unsaved', { reason: String(error) }) // with the next beat once more
    }
  }

  #apply(message: DirectoryMessage, directory: HubDirectory): void {
    const { log, onChange } = this.#options
    const wasHeard = directory.isHeard
    const gone = directory.apply(message)
    this.#saveTimer ??= setTimeout(() => this.#save(), SAVE_DELAY_MS)
    if (!wasHeard && directory.isHeard) {
      this.#fault = ''
      log.info('directory.heard', { what: this.describe() })
    }
    this.#link.send({ type: 'heard', epoch: directory.epoch })
    onChange(gone, directory)
  }

  #handleWelcome(network: string, ticketKey: string): void {
    this.#network = network
    if (this.#directory !== undefined && this.#ticketKey === ticketKey) return
    const key = tryParseIdentity(ticketKey)
    if (key === undefined) return
    this.#ticketKey = ticketKey
    this.#directory = new HubDirectory({ ticketKey: key, wallNowMs: this.#options.wallNowMs })
  }

  #handleSilence(reason: string): void {
    if (this.#directory?.isHeard === true) this.#options.log.warn('directory.silent', { reason })
    if (this.#fault === '') this.#fault = reason
    this.#directory?.handleSilence()
  }

  #restore(): void {
    const { log } = this.#options
    try {
      const { network, ticketKey, directory } = storedHub.parse(JSON.parse(readFileSync(this.#path, 'utf8')))
      this.#handleWelcome(network, ticketKey)
      this.#directory?.restore(directory)
    } catch (error) {
      // Nobody is let in by what cannot be read; the hub tells it anew.
      const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      if (!isAbsent) log.warn('directory.unreadable', { file: this.#path })
    }
  }

  #save(): void {
    clearTimeout(this.#saveTimer)
    this.#saveTimer = undefined
    const directory = this.#directory?.toStored()
    if (directory === undefined) return
    const stored: StoredHub = { network: this.#network, ticketKey: this.#ticketKey, directory }
    try {
      replaceFile(this.#path, JSON.stringify(stored), `cannot write ${this.#path}`)
    } catch (error) {
      this.#options.log.warn('directory.unsaved', { reason: String(error) })
    }
  }
}

/** Undefined if the hub has not changed its key. Throws AppError. */
function readHubKey(path: string): StoredHubKey | undefined {
  try {
    return storedHubKey.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new AppError(ERROR_CODES.config, `cannot read ${path}, which holds the key of the hub`, {
      hint: `type: rm ${path}, and start with the key that this prints on the hub: overlay hub status`,
      cause: error,
    })
  }
}
