/**
 * What a node keeps of its network through restarts: what the hub said last, and to whom this node said yes,
 * in one file (0600) of the state directory. It holds no key of ours, but tells who is in the network.
 */

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Logger } from '../../base/log.js'
import type { StoredConsents } from '../../control/consent-book.js'
import { hubMessage, MAX_CONSENTS, nodeInfo, type Welcome } from '../../control/messages.js'
import type { StoredNetmap } from '../../control/netmap.js'

const STATE_DIRECTORY = '/var/lib/overlay'
const WRITE_DELAY_MS = 500

export interface StoredNetwork {
  /** Base64; what another hub said is of no use. */
  readonly hubKey: string
  readonly welcome: Welcome
  readonly netmap: StoredNetmap
  readonly consents: StoredConsents
}

const storedNetwork: z.ZodType<{
  hubKey: string
  welcome: z.infer<typeof hubMessage>
  netmap: StoredNetmap
  consents: StoredConsents
}> = z.object({
  hubKey: z.string(),
  welcome: hubMessage,
  netmap: z.object({ nodes: z.array(nodeInfo), pins: z.record(z.string(), z.string()) }),
  consents: z
    .object({
      isNeeded: z.boolean(),
      given: z.array(z.object({ identity: z.string(), name: z.string() })).max(MAX_CONSENTS),
    })
    // A file of before there was any.
    .default({ isNeeded: false, given: [] }),
})

export class NetworkStore {
  readonly #path: string
  readonly #log: Logger
  #timer: NodeJS.Timeout | undefined

  constructor(interfaceName: string, log: Logger, directory: string = STATE_DIRECTORY) {
    this.#path = join(directory, `${interfaceName}.netmap.json`)
    this.#log = log
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  /** Undefined if there is nothing of this hub, or nothing that can be used: the hub will say it anew. */
  tryRead(hubKeyText: string): StoredNetwork | undefined {
    try {
      const stored = storedNetwork.parse(JSON.parse(readFileSync(this.#path, 'utf8')))
      const { hubKey, welcome, netmap, consents } = stored
      if (hubKey !== hubKeyText || welcome.type !== 'welcome') return undefined
      return { hubKey, welcome, netmap, consents }
    } catch (error) {
      const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      if (!isAbsent) this.#log.warn('netmap.unreadable', { file: this.#path })
      return undefined
    }
  }

  /** Many changes at once make one write. */
  writeSoon(content: () => StoredNetwork | undefined): void {
    this.#timer ??= setTimeout(() => this.flush(content), WRITE_DELAY_MS)
  }

  flush(content: () => StoredNetwork | undefined): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const network = content()
    if (network === undefined) return
    const draft = `${this.#path}.tmp`
    try {
      const fd = openSync(draft, 'w', 0o600)
      try {
        writeSync(fd, JSON.stringify(network))
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
      renameSync(draft, this.#path)
    } catch (error) {
      this.#log.warn('netmap.unsaved', { reason: error instanceof Error ? error.message : String(error) })
    }
  }

  delete(): void {
    clearTimeout(this.#timer)
    rmSync(this.#path, { force: true })
  }
}
