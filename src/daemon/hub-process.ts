/**
 * Composes and runs one hub: store, control sessions, and its administration. What listens for the world, relays
 * and answers STUN is a process of its own (hub-front.ts).
 */

import { randomBytes } from 'node:crypto'
import { createLogger, type Logger } from '../base/log.js'
import { identityFromSeed } from '../control/identity.js'
import { formatJoinToken } from '../control/join-token.js'
import type { HubEffect } from '../hub/effects.js'
import { Hub } from '../hub/hub.js'
import { type ChannelListener, listenForChannels } from '../hub/io/control-channel.js'
import { ControlServer } from '../hub/io/control-server.js'
import { openHubStore } from '../hub/io/hub-store.js'
import { keepReserve } from '../hub/io/store-reserve.js'
import { Registry, type RegistryOptions } from '../hub/registry.js'
import type { Store } from '../hub/store.js'
import type { StoreFailure } from '../hub/store-writer.js'
import { SHARED_RANGE } from '../net/network-range.js'
import { prefixCovers, tryParsePrefix } from '../net/prefix.js'
import { bootNowMs, wallNowMs } from '../platform/clock.js'
import { forbidDumps } from '../platform/dumps.js'
import { notifyServiceManager } from '../platform/notify.js'
import { programVersion } from '../platform/version.js'
import { nodeCrypto } from '../wireguard/crypto-node.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import { checked } from './api-request.js'
import { type Route, startApiServer } from './api-server.js'
import { FrontProcess } from './front-process.js'
import type { FrontPlan, FrontStatus } from './front-protocol.js'
import { HubAdmin } from './hub-admin.js'
import { HubKeyring } from './hub-keyring.js'
import { HubRelays } from './hub-relays.js'
import { type AuditEntry, type HubStatus, type KeyChange, rotateOrder } from './hub-schema.js'
import { leaveSockets, placeSockets } from './hub-sockets.js'
import { type HubPaths, type HubSettings, hubCommand, readHubSettings } from './hub-state.js'
import { standardErrorLog } from './log-file.js'
import { processUsage } from './process-usage.js'

const AUDIT_ENTRIES = 1000
const SWEEP_INTERVAL_MS = 10_000
/** Nodes have written the new key down by then. */
const FRONT_RESTART_MS = 2000
/** Tickets live for an hour. */
const TICKET_INTERVAL_MS: number = 20 * 60_000

const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

export interface HubRequest {
  readonly paths: HubPaths
  readonly isVerbose: boolean
  /** Bytes a second that one client of the relay may send. */
  readonly maxBytesPerS: number
  /** Starts this program as the front of the hub: executable and arguments. */
  readonly frontCommand: readonly string[]
  readonly onReady: (status: HubStatus) => void
}

/** Resolves when a signal has ended it. Throws AppError if it does not start. */
export async function runHub(request: HubRequest): Promise<void> {
  forbidDumps()
  const { paths } = request
  const settings = readHubSettings(paths)
  const keyring = new HubKeyring(paths, nodeCrypto, wallNowMs)
  const log = createLogger({
    level: request.isVerbose ? 'debug' : 'info',
    write: (line) => standardErrorLog().writeLine(line),
    wallNowMs,
  })
  const store = await openHubStore(paths.store)
  keepReserve(paths.store)
  const stack: (() => unknown)[] = [() => keepReserve(paths.store), () => store.close()]
  try {
    const placed = placeSockets(paths)
    stack.push(() => leaveSockets(paths, placed))
    const host = new HubHost({ ...request, paths: placed }, { settings, keyring, store, log })
    stack.push(() => host.stop())
    await host.start(stack)
    request.onReady(await host.status())
    notifyServiceManager('READY=1')
    await untilSignal()
    notifyServiceManager('STOPPING=1')
  } finally {
    for (const undo of stack.reverse()) await undo()
  }
}

async function untilSignal(): Promise<void> {
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve())
  })
}

function registryOptions(store: Store): RegistryOptions {
  return { store, crypto: nodeCrypto, random, wallNowMs }
}

interface Parts {
  readonly settings: HubSettings
  readonly keyring: HubKeyring
  readonly store: Store
  readonly log: Logger
}

class HubHost {
  readonly #request: HubRequest
  readonly #parts: Parts
  readonly #registry: Registry
  readonly #hub: Hub
  readonly #control: ControlServer
  readonly #relays: HubRelays
  #channels: ChannelListener | undefined
  #front: FrontProcess | undefined
  readonly #timers: NodeJS.Timeout[] = []
  /** Why keys that count no longer could not be forgotten, as the log has it already. */
  #keptReason = ''

  constructor(request: HubRequest, parts: Parts) {
    this.#request = request
    this.#parts = parts
    const { settings, keyring, store } = parts
    this.#relays = new HubRelays(request.paths, settings, bootNowMs)
    this.#registry = new Registry({
      ...registryOptions(store),
      onStoreFailure: (failure) => this.#logStore(failure),
    })
    const { address: host, port, stunPort } = settings
    this.#hub = new Hub({
      registry: this.#registry,
      crypto: nodeCrypto,
      keys: () => keyring.signing(),
      command: hubCommand(request.paths),
      relays: () => [
        { key: identityFromSeed(keyring.secrets.relaySeed).text, host, port },
        ...this.#relays.all,
      ],
      // Two addresses tell more about a NAT than two ports of one.
      stun:
        settings.stunAddresses.length > 1
          ? settings.stunAddresses.map((address) => ({ host: address, port: stunPort }))
          : [
              { host, port: stunPort },
              { host, port: stunPort + 1 },
            ],
      nowMs: bootNowMs,
      wallNowMs,
    })
    this.#control = new ControlServer({
      hub: this.#hub,
      crypto: nodeCrypto,
      random,
      keys: () => keyring.sessionKeys(),
      nowMs: bootNowMs,
      onDirectory: (message) => this.#front?.send({ kind: 'directory', message }),
      onFault: (error) => parts.log.error('hub.failed', { reason: String(error) }),
    })
  }

  async start(stack: (() => unknown)[]): Promise<void> {
    const { settings, log } = this.#parts
    const { control: controlPath } = this.#request.paths
    // The first write tells, too, whether the store takes any: who asks hears of a full disk at once.
    this.#registry.note('', 'hub.started', '')
    this.#channels = await listenForChannels(controlPath, (channel, remote) =>
      this.#control.accept(channel, remote),
    )
    stack.push(async () => await this.#channels?.stop())
    this.#front = await FrontProcess.start({
      command: this.#request.frontCommand,
      plan: () => this.#plan(),
      directory: () => this.#hub.wholeDirectory(),
      log,
      nowMs: bootNowMs,
    })
    stack.push(async () => await this.#front?.stop())
    const api = await startApiServer({ path: this.#request.paths.socket, routes: this.#routes(), log })
    stack.push(async () => await api.stop())
    this.#every(SWEEP_INTERVAL_MS, (effects) => this.#hub.handleTimeout(effects))
    this.#timers.push(setInterval(() => this.#retireKeys(), SWEEP_INTERVAL_MS))
    this.#every(TICKET_INTERVAL_MS, (effects) => this.#hub.renewTickets(effects))
    log.info('hub.ready', { network: this.#registry.network.name, port: settings.port, pid: process.pid })
  }

  #plan(): FrontPlan {
    const { settings, keyring } = this.#parts
    const { port, stunPort, stunAddresses } = settings
    const { certificate, relaySeed, identity } = keyring.secrets
    return {
      port,
      stunPort,
      stunAddresses,
      certificate,
      relaySeed,
      ticketKey: identity.publicKey,
      maxBytesPerS: this.#request.maxBytesPerS,
      controlPath: this.#request.paths.control,
    }
  }

  /** Nodes hear of it in their sessions; then the front begins anew with the keys of its relay. */
  #rotateKeys(body: unknown): KeyChange {
    const { overlapS } = checked(rotateOrder, body)
    const { keyring } = this.#parts
    keyring.rotate(overlapS)
    this.#control.carryOut((effects) => this.#hub.keysChanged(effects))
    const until = new Date((keyring.overlapUntilS ?? 0) * 1000).toISOString()
    this.#registry.note('', 'hub.keys_changed', `the keys before count until ${until}`)
    setTimeout(() => this.#front?.restart(), FRONT_RESTART_MS).unref()
    return { hubKey: formatKeyBase64(keyring.secrets.session.publicKey), until }
  }

  #retireKeys(): void {
    try {
      if (this.#parts.keyring.tryRetire())
        this.#registry.note('', 'hub.keys_retired', 'the keys before count no longer')
    } catch (error) {
      const reason = String(error)
      if (reason !== this.#keptReason) this.#parts.log.error('hub.keys_kept', { reason })
      this.#keptReason = reason
    }
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#control.stop()
    this.#hub.handleStop()
    while (this.#registry.unsavedCount > 0 && this.#registry.flush());
    if (this.#registry.unsavedCount > 0) {
      this.#parts.log.warn('store.unsaved', { nodes: this.#registry.unsavedCount })
    }
  }

  #logStore(failure: StoreFailure | undefined): void {
    const { log } = this.#parts
    if (failure === undefined) log.info('store.recovered', {})
    else log.error('store.failed', { reason: failure.error.message, hint: failure.error.hint })
  }

  async status(): Promise<HubStatus> {
    const front = await this.#front?.report()
    const { settings } = this.#parts
    const { name, prefix4, prefix6, needsApproval, needsConsent } = this.#registry.network
    return {
      network: name,
      prefix4,
      prefix6,
      needsApproval,
      needsConsent,
      address: settings.address,
      port: settings.port,
      stunPort: settings.stunPort,
      hubKey: formatKeyBase64(this.#parts.keyring.secrets.session.publicKey),
      relays: this.#relays.describe(this.#hub),
      keyChangeUntil: untilOf(this.#parts.keyring.overlapUntilS),
      nodes: this.#registry.nodeCount,
      online: this.#hub.onlineCount,
      relayClients: front?.relayClients ?? 0,
      relayLimitMbitS: megabitsOf(this.#request.maxBytesPerS),
      pid: process.pid,
      version: programVersion(),
      memoryBytes: processUsage().memoryBytes,
      store: this.#store(),
      processes: this.#processes(front),
      counters: this.#counters(front),
    }
  }

  #store(): HubStatus['store'] {
    const failure = this.#registry.storeFailure
    return {
      unsaved: this.#registry.unsavedCount,
      ...(failure !== undefined && {
        failure: failure.error.message,
        hint: failure.error.hint,
        since: new Date(failure.sinceMs).toISOString(),
      }),
    }
  }

  #processes(front: FrontStatus | undefined): HubStatus['processes'] {
    const hub = { name: 'hub', ...processUsage(), restarts: 0 }
    if (front === undefined) return [hub]
    const { pid, memoryBytes, cpuS } = front
    return [hub, { name: 'front', pid, memoryBytes, cpuS, restarts: this.#front?.restarts ?? 0 }]
  }

  #counters(front: FrontStatus | undefined): Record<string, number> {
    const control = Object.entries(this.#hub.counters).map(([name, value]) => [`control.${name}`, value])
    return Object.fromEntries([
      ...control,
      ['control.deltas', this.#hub.deltas],
      ['control.rateLimited', this.#control.rateLimited],
      ['control.strangers', this.#control.strangers],
      ['control.crowdedOut', this.#control.crowdedOut],
      ...Object.entries(front?.counters ?? {}),
    ])
  }

  #every(intervalMs: number, work: (effects: HubEffect[]) => void): void {
    this.#timers.push(setInterval(() => this.#control.attempt(work), intervalMs))
  }

  #routes(): Map<string, Route> {
    const admin = new HubAdmin({
      hub: this.#hub,
      registry: this.#registry,
      carryOut: (change) => this.#control.carryOut(change),
      formatToken: (secret) => this.#formatToken(secret),
    })
    return new Map<string, Route>([
      ['GET /v1/hub', async () => await this.status()],
      ...admin.routes(),
      ...this.#relays.routes(this.#hub, (change) => this.#control.carryOut(change)),
      ['GET /v1/audit', () => this.#registry.audit(AUDIT_ENTRIES).map(describeAudit)],
      ['POST /v1/keys/rotate', (body) => this.#rotateKeys(body)],
    ])
  }

  #formatToken(secret: string): string {
    const { settings, keyring } = this.#parts
    const hub = { host: settings.address, port: settings.port }
    const { name: network, prefix4 } = this.#registry.network
    const range = tryParsePrefix(prefix4)
    const fields = { hub, hubKey: keyring.secrets.session.publicKey, network, secret }
    const isUsual = range === undefined || prefixCovers(SHARED_RANGE, range)
    return formatJoinToken(nodeCrypto, isUsual ? fields : { ...fields, range })
  }
}

function untilOf(untilS: number | undefined): string | null {
  return untilS === undefined ? null : new Date(untilS * 1000).toISOString()
}

function describeAudit(record: { atMs: number; event: string; subject: string; detail: string }): AuditEntry {
  const { atMs, ...rest } = record
  return { at: new Date(atMs).toISOString(), ...rest }
}

/** Mbit/s; null for no limit. */
function megabitsOf(bytesPerS: number): number | null {
  return Number.isFinite(bytesPerS) ? Math.round((bytesPerS * 8) / 1e6) : null
}
