/**
 * The life of one daemon: claims the interface, starts, serves, stops, and leaves nothing behind.
 *
 * Operations are taken one after the other; a stop does not wait for a start, it ends it. What is to
 * be constructed comes from composition.ts.
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import type { IpAddress } from '../net/ip.js'
import { formatPrefix } from '../net/prefix.js'
import { bootNowMs } from '../platform/clock.js'
import { tryFindLink } from '../platform/network.js'
import { notifyServiceManager } from '../platform/notify.js'
import type { RunPaths } from '../platform/run-directory.js'
import { programVersion } from '../platform/version.js'
import type { DeviceSnapshot } from '../wireguard/configuration.js'
import { checked } from './api-request.js'
import { describeEndpointRoute } from './endpoint-routes.js'
import { explainFilePeers } from './explain-file-peers.js'
import { startLocalApi } from './local-api.js'
import {
  type InterfaceStatus,
  type ReloadResult,
  type StopResult,
  trustOrder,
  type WhyReport,
} from './local-api-schema.js'
import type { LogFile } from './log-file.js'
import { explainNodes } from './network/explain.js'
import type { Membership } from './network/membership.js'
import type { Service } from './service.js'
import { createStatus } from './status.js'
import { alreadyRunning, describeFault, type Recovery, recover } from './undo.js'
import { isOwnerAlive, type JournalOwner, tryReadJournal, UndoJournal } from './undo-journal.js'

export interface DaemonOptions {
  readonly owner: JournalOwner
  readonly paths: RunPaths
  readonly log: Logger
  readonly logFile: LogFile
  readonly createService: (context: ServiceContext) => Service
  /** Everything is up. */
  readonly onReady: () => void
  /** Aborting it stops the daemon. */
  readonly signal?: AbortSignal
}

export interface ServiceContext {
  readonly journal: UndoJournal
  /** The interface was removed by somebody else. */
  readonly onRemoved: () => void
}

export class Daemon {
  readonly #options: DaemonOptions
  readonly #abort = new AbortController()
  readonly #service: Service
  #phase: InterfaceStatus['state'] = 'starting'
  /** The operation under way; whoever asked for it hears of its failure. */
  #operation: Promise<unknown> = Promise.resolve()
  #stopping: Promise<StopResult> | undefined

  private constructor(options: DaemonOptions, journal: UndoJournal) {
    this.#options = options
    this.#service = options.createService({ journal, onRemoved: () => this.#handleRemoved() })
  }

  /** Resolves when the interface is down again. Rejects if it did not come up; then nothing is left. */
  static async run(options: DaemonOptions): Promise<void> {
    const journal = await claimInterface(options)
    const daemon = new Daemon(options, journal)
    const ignoreSignals = daemon.#listenToSignals()
    let hasFailed = true
    try {
      await daemon.#serve()
      hasFailed = false
    } finally {
      // The guard of a daemon that could not be started again tries it once more: the interface stays its own.
      const isComingBack = hasFailed && journal.isInherited
      if (journal.record.changes.length === 0 && !isComingBack) journal.delete()
      ignoreSignals()
      options.log.info('ended', { interface: options.owner.interface })
    }
  }

  async #serve(): Promise<void> {
    const { paths, log } = this.#options
    const api = await startLocalApi({
      path: paths.apiSocket,
      log,
      handlers: {
        status: () => this.#status(),
        reload: async () => await this.#reload(),
        stop: async () => await this.stop(),
        why: () => this.#why(),
        trustReport: () => {
          const { trust, name } = this.#requireMembership()
          return trust.report(name)
        },
        trust: (body) => this.#requireMembership().trust.handleOrder(checked(trustOrder, body)),
      },
    })
    try {
      await this.#start()
      await this.#untilStopped()
    } catch (error) {
      const isGivenUp = this.#abort.signal.aborted
      await this.stop()
      throw isGivenUp ? stoppedEarly(this.#options.owner.interface, error) : error
    } finally {
      await api.stop()
    }
  }

  async #start(): Promise<void> {
    const start = this.#service.start(this.#abort.signal)
    this.#operation = start
    await start
    if (this.#abort.signal.aborted) return
    this.#phase = 'running'
    this.#options.log.info('ready', { interface: this.#options.owner.interface, pid: process.pid })
    notifyServiceManager('READY=1')
    this.#options.onReady()
  }

  async #untilStopped(): Promise<void> {
    const { signal } = this.#abort
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve())
    })
    await this.#stopping
  }

  /** Idempotent: all callers get the one result. */
  async stop(): Promise<StopResult> {
    this.#stopping ??= this.#stopOnce()
    return await this.#stopping
  }

  async #stopOnce(): Promise<StopResult> {
    this.#phase = 'stopping'
    notifyServiceManager('STOPPING=1')
    this.#abort.abort()
    await this.#operation.catch(() => undefined)
    const faults = await this.#service.stop()
    for (const reason of faults) this.#options.log.error('undo.failed', { reason })
    return { faults }
  }

  async #reload(): Promise<ReloadResult> {
    const name = this.#options.owner.interface
    if (this.#phase !== 'running') {
      throw new AppError(ERROR_CODES.notRunning, `${name} is ${this.#phase}: it cannot be reloaded now`)
    }
    const reload = this.#operation
      .catch(() => undefined)
      .then(async () => await this.#service.reload(this.#abort.signal))
    this.#operation = reload
    notifyServiceManager(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
    try {
      return await reload
    } finally {
      notifyServiceManager('READY=1')
    }
  }

  #requireMembership(): Membership {
    const { membership } = this.#service
    if (membership !== undefined) return membership
    throw new AppError(ERROR_CODES.conflict, `${this.#options.owner.interface} is part of no network`, {
      hint: 'only nodes of a network have paths that are looked for: overlay join',
    })
  }

  #listenToSignals(): () => void {
    const { log } = this.#options
    const stop = (signal: NodeJS.Signals): void => {
      log.info('signal', { signal })
      void this.stop()
    }
    const reload = (): void => {
      this.#reload().catch((error: unknown) => log.error('reload.failed', { reason: describeFault(error) }))
    }
    this.#options.signal?.addEventListener('abort', () => void this.stop())
    process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', reload)
    return () => process.off('SIGTERM', stop).off('SIGINT', stop).off('SIGHUP', reload)
  }

  #handleRemoved(): void {
    this.#options.log.warn('interface.removed', { interface: this.#options.owner.interface })
    void this.stop()
  }

  #why(): WhyReport[] {
    const { device, membership } = this.#service
    if (device === undefined) return []
    const nodes = membership === undefined ? [] : explainNodes(membership.status(), bootNowMs())
    const peers = device.engine.snapshot().peers.filter(({ isManaged }) => !isManaged)
    const faultOf = (address: IpAddress): string | undefined => describeEndpointRoute(address, device)
    return [...nodes, ...explainFilePeers(peers, this.#service.peerNames(), faultOf)]
  }

  #status(): InterfaceStatus {
    const { owner, logFile } = this.#options
    const { device } = this.#service
    return createStatus({
      frame: {
        interface: owner.interface,
        mode: owner.mode,
        state: this.#phase,
        pid: process.pid,
        guardPid: owner.guard?.pid ?? null,
        version: programVersion(),
        configFile: owner.configFile === '' ? null : owner.configFile,
        logFile: logFile.path === '' ? null : logFile.path,
        mtu: device?.mtu ?? 0,
        isUp: device?.isUp ?? false,
        faults: this.#service.faults(),
        addresses: device === undefined ? [] : device.tun.addresses().map(formatPrefix),
        networkNamespace: device?.otherNamespace ?? null,
        drops: { ...device?.engine.drops(), ...this.#service.membership?.drops() },
        carried: device?.engine.carried() ?? { rxBytes: 0, rxMessages: 0, txBytes: 0, txMessages: 0 },
        dataPlane: device?.engine.describeDataPlane() ?? null,
      },
      device: device?.engine.snapshot() ?? NO_DEVICE,
      peerNames: this.#service.peerNames(),
      membership: this.#service.membership?.status(),
      faultOf: (address) => device && describeEndpointRoute(address, device),
      nowMs: bootNowMs(),
    })
  }
}

const NO_DEVICE: DeviceSnapshot = {
  privateKey: undefined,
  publicKey: undefined,
  listenPort: 0,
  fwmark: 0,
  peers: [],
}

const CLAIM_ATTEMPTS = 3
const NOTHING: Recovery = { faults: [], kept: undefined }
const ENDING_WAIT_MS = 3000
const ENDING_POLL_MS = 10

/** Cleans up after a daemon that died, then makes the interface's name ours. */
async function claimInterface(options: DaemonOptions): Promise<UndoJournal> {
  const { paths, owner, log, logFile } = options
  const name = owner.interface
  await waitForEnding(paths, name)
  for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt++) {
    const { faults, kept } = (await recover(paths, { interfaceName: name, log, logFile }, true)) ?? NOTHING
    if (faults.length > 0) {
      throw new AppError(ERROR_CODES.platform, `cannot clean up after ${name}: ${faults.join('; ')}`)
    }
    if (kept !== undefined) {
      kept.adopt(owner)
      return kept
    }
    if (tryFindLink(name) !== undefined) throw nameTaken(name)
    const journal = UndoJournal.tryCreate(paths, owner)
    if (journal !== undefined) return journal
  }
  const record = await tryReadJournal(paths.journal)
  throw record === undefined
    ? new AppError(ERROR_CODES.alreadyRunning, `${name} is being brought up by another command`)
    : alreadyRunning(record)
}

/** A daemon whose interface was deleted needs a moment to end; a command that follows at once gives it. */
async function waitForEnding(paths: RunPaths, name: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < ENDING_WAIT_MS; waitedMs += ENDING_POLL_MS) {
    const record = await tryReadJournal(paths.journal)
    if (record === undefined || !isOwnerAlive(record) || tryFindLink(name) !== undefined) return
    await new Promise((resolve) => setTimeout(resolve, ENDING_POLL_MS))
  }
}

/** What was under way failed because it was ended: that is its cause, not its message. */
function stoppedEarly(name: string, cause: unknown): AppError {
  return new AppError(ERROR_CODES.command, `${name} was stopped before it was up`, { cause })
}

function nameTaken(name: string): AppError {
  return new AppError(
    ERROR_CODES.alreadyRunning,
    `an interface ${name} exists and overlay does not serve it`,
    {
      hint: `take another name, or remove it: sudo ip link delete ${name}`,
    },
  )
}
