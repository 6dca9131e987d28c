/**
 * One tunnel brought up from a file: the order of start, reload and stop.
 *
 * INVARIANT: a start that fails is taken back by stop(), like a tunnel that ran; what has to be undone
 * is in the journal, not in this object's memory. Operations do not overlap (src/daemon/daemon.ts).
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { type ResolvedEndpoints, toDeviceUpdate } from '../config/device-update.js'
import { diffConfig } from '../config/diff.js'
import type { TunnelConfig } from '../config/types.js'
import { formatIp } from '../net/ip.js'
import type { ResolverEntry } from '../platform/resolv-conf.js'
import { hasResolverEntry } from '../platform/resolver.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import { describeEndpointRoute } from './endpoint-routes.js'
import type { Engine } from './engine.js'
import type { HookContext, HookPhase, HookRunner } from './hooks.js'
import {
  applyInterfaceChange,
  applyLastingChange,
  type LiveInterface,
  resolverEntryOf,
  undoInterfaceChange,
  undoLastingChange,
} from './host-changes.js'
import { isReversePathStrict, readHostFacts } from './host-facts.js'
import { InterfaceKeeper } from './interface-keeper.js'
import type { LiveDevice } from './live-device.js'
import type { ReloadResult } from './local-api-schema.js'
import type { LogFile } from './log-file.js'
import type { Membership } from './network/membership.js'
import { ResolverKeeper } from './resolver-keeper.js'
import { saveConfig } from './save-config.js'
import type { Service } from './service.js'
import {
  isLasting,
  isResolverChange,
  type LastingChange,
  outlivesCrash,
  type ResolverChange,
  type SystemChange,
  transitionOf,
} from './system-change.js'
import { type HostFacts, type PolicyRouting, planSystem } from './system-plan.js'
import { TunnelEndpoints } from './tunnel-endpoints.js'
import type { LoadTunnel } from './tunnel-file.js'
import { describeFault, runPostDown, undoLastingChanges } from './undo.js'
import type { UndoJournal } from './undo-journal.js'

export interface TunnelOptions {
  readonly interfaceName: string
  readonly configFile: string
  /** Reads the file as it is now, private key included. */
  readonly load: LoadTunnel
  readonly openDevice: () => Promise<LiveDevice>
  /** Takes part in the network that the file names; undefined if it names none. */
  readonly openMembership: (config: TunnelConfig, device: LiveDevice) => Membership | undefined
  readonly journal: UndoJournal
  readonly bootNowMs: () => number
  readonly log: Logger
  readonly logFile: LogFile
  /** False: the machine's resolver stays as it is, whatever the file says. */
  readonly hasDns: boolean
  /** A start waits until all names of endpoints are resolved, or fails. */
  readonly waitsForNames: boolean
  /** Undefined if the service manager does. */
  readonly runHooks: HookRunner | undefined
  /** Something is not as it should be, but the tunnel works. */
  readonly warn: (text: string) => void
}

export class Tunnel implements Service {
  readonly #options: TunnelOptions
  #device: LiveDevice | undefined
  #config: TunnelConfig | undefined
  readonly #endpoints: TunnelEndpoints
  #policy: PolicyRouting | undefined
  #changes: readonly SystemChange[] = []
  /** Of the device, when they were made. */
  #moves = 0
  #membership: Membership | undefined
  readonly #resolverKeeper: ResolverKeeper
  readonly #interfaceKeeper: InterfaceKeeper
  /** What the host cannot do for the tunnel, in words. */
  #hostFaults: readonly string[] = []
  /** Of the resolver, by what could not be changed. */
  readonly #resolverFaults = new Map<string, string>()
  #isComplete = false

  constructor(options: TunnelOptions) {
    this.#options = options
    const { log, bootNowMs } = options
    const engine = (): Engine | undefined => this.#device?.engine
    this.#endpoints = new TunnelEndpoints({ ...options, config: () => this.#config, engine })
    this.#resolverKeeper = new ResolverKeeper({ log, bootNowMs })
    const live = (): LiveInterface | undefined => this.#device?.upInterface
    this.#interfaceKeeper = new InterfaceKeeper({ log, bootNowMs, live })
  }

  get device(): LiveDevice | undefined {
    return this.#device
  }

  get config(): TunnelConfig | undefined {
    return this.#config
  }

  get membership(): Membership | undefined {
    return this.#membership
  }

  peerNames(): ReadonlyMap<string, string> {
    const named = this.#config?.peers.flatMap(({ name, publicKey }) =>
      name === undefined ? [] : [{ name, key: publicKey }],
    )
    const nodes = this.#membership?.nodes.map(({ name, tunnelKey }) => ({ name, key: tunnelKey }))
    const all = [...(named ?? []), ...(nodes ?? [])]
    return new Map(all.map(({ name, key }) => [formatKeyBase64(key), name]))
  }

  faults(): string[] {
    const kept = [this.#resolverKeeper.fault, this.#interfaceKeeper.fault]
    return [
      ...this.#hostFaults,
      ...this.#resolverFaults.values(),
      ...kept.filter((fault) => fault !== undefined),
      ...this.#endpoints.faults,
    ]
  }

  async start(signal: AbortSignal): Promise<void> {
    const { journal, load, openDevice } = this.#options
    const hooks = this.#hookContext(signal)
    const { preUp, postUp, postDown } = this.#hooksOf(load.parse())
    if (preUp.length > 0) {
      journal.setPostDown(postDown)
      await this.#runHooks('PreUp', preUp, hooks)
    }
    const config = load.withPrivateKey(load.parse())
    const endpoints = await this.#endpoints.resolveAll(config, signal)
    requireGoingOn(signal)
    const device = await openDevice()
    this.#changes = journal.record.changes
    this.#device = device
    this.#config = config
    const facts = await this.#readFacts(config, endpoints)
    device.engine.configure({ ...toDeviceUpdate(config, endpoints), fwmark: markOf(config, facts) })
    await this.#moveTo(planSystem(config, facts), signal)
    this.#warnAboutHost(config, facts)
    journal.setPostDown(postDown)
    await this.#runHooks('PostUp', postUp, hooks)
    requireGoingOn(signal)
    this.#warnAboutEndpoints(device)
    this.#membership = this.#options.openMembership(config, device)
    this.#endpoints.goOn(config)
    this.#isComplete = true
  }

  /** Parses and resolves first: a file or a name that is wrong changes nothing. */
  async reload(signal: AbortSignal): Promise<ReloadResult> {
    const { load, journal, log } = this.#options
    const device = this.#device
    const previous = this.#config && device && this.#withLiveKey(this.#config, device)
    if (previous === undefined || device === undefined || !this.#isComplete) {
      throw new AppError(ERROR_CODES.notRunning, `${this.#options.interfaceName} is not up yet`)
    }
    const next = load.withPrivateKey(load.parse())
    const endpoints = await this.#endpoints.resolveNew(next, signal)
    requireGoingOn(signal)
    const update = diffConfig(previous, next, endpoints)
    const markBefore = device.engine.snapshot().fwmark
    const facts = await this.#readFacts(next, endpoints)
    device.engine.configure({ ...update, fwmark: markOf(next, facts) })
    const systemChanges = await this.#moveOrReturn(planSystem(next, facts), signal, () => {
      const back = diffConfig(next, previous, this.#endpoints.resolved)
      device.engine.configure({ ...back, fwmark: markBefore })
    })
    if (!equalOverlay(previous, next)) {
      await this.#membership?.stop()
      this.#membership = this.#options.openMembership(next, device)
    }
    this.#config = next
    this.#endpoints.replace(next, endpoints)
    this.#warnAboutHost(next, facts)
    this.#warnAboutEndpoints(device)
    journal.setPostDown(this.#hooksOf(next).postDown)
    log.info('reload', { peers: update.peers.length, systemChanges })
    return { changedPeers: update.peers.length, systemChanges }
  }

  /** Takes everything back, also of a start that failed half-way. Gives what could not be undone. */
  async stop(): Promise<string[]> {
    const { journal } = this.#options
    const faults: string[] = []
    this.#endpoints.stop()
    this.#resolverKeeper.stop()
    this.#interfaceKeeper.stop()
    const left = this.#membership?.stop()
    const isThere = this.#device?.tun.locate() !== undefined
    if (this.#isComplete && isThere) faults.push(...(await this.#stopPolitely()))
    // A start that failed after a crash opens nothing that was closed before it.
    const isKept = (change: LastingChange): boolean =>
      journal.isInherited && !this.#isComplete && outlivesCrash(change)
    faults.push(...(await undoLastingChanges(journal, isKept)))
    await this.#device?.stop()
    await left
    faults.push(...(await runPostDown(journal, this.#hookContext(), this.#options.runHooks)))
    return faults
  }

  async #stopPolitely(): Promise<string[]> {
    const { configFile } = this.#options
    const config = this.#config
    const device = this.#device
    if (config === undefined || device === undefined) return []
    const faults: string[] = []
    try {
      await this.#runHooks('PreDown', this.#hooksOf(config).preDown, this.#hookContext())
    } catch (error) {
      faults.push(describeFault(error))
    }
    try {
      if (config.interface.saveConfig) {
        saveConfig({ configFile, config, device, endpoints: this.#endpoints.resolved })
      }
    } catch (error) {
      faults.push(describeFault(error))
    }
    return faults
  }

  async #readFacts(config: TunnelConfig, endpoints: ResolvedEndpoints): Promise<HostFacts> {
    const policy = this.#policy
    const { interfaceName, hasDns } = this.#options
    const facts = await readHostFacts({
      interfaceName,
      hasDns,
      config,
      endpoints: [...endpoints.values()],
      policy,
    })
    this.#policy = facts.policy
    return facts
  }

  /** Moves on, or back to where it was, calling `onReturn`, and throws. */
  async #moveOrReturn(
    wanted: readonly SystemChange[],
    signal: AbortSignal,
    onReturn: () => void,
  ): Promise<number> {
    const before = this.#changes
    try {
      return await this.#moveTo(wanted, signal)
    } catch (error) {
      onReturn()
      await this.#moveTo(before, signal)
      throw error
    }
  }

  /** Gives the number of changes made. */
  async #moveTo(wanted: readonly SystemChange[], signal: AbortSignal): Promise<number> {
    this.#interfaceKeeper.stop()
    this.#forgetLost()
    const { undo, apply } = transitionOf(this.#changes, wanted)
    for (const change of undo) {
      await this.#undo(change)
      this.#changes = this.#changes.filter((other) => other !== change)
    }
    for (const change of apply) {
      requireGoingOn(signal)
      if (await this.#tryApply(change)) this.#changes = [...this.#changes, change]
    }
    const entries = this.#changes.filter(isResolverChange).map((change) => this.#entryOf(change))
    this.#resolverKeeper.keep(entries.filter(hasResolverEntry))
    this.#interfaceKeeper.keep(this.#changes)
    return undo.length + apply.length
  }

  /** An interface that is moved into another network namespace loses its addresses and routes. */
  #forgetLost(): void {
    const { moves } = this.#requireDevice()
    if (moves !== this.#moves) this.#changes = this.#changes.filter(isLasting)
    this.#moves = moves
  }

  #entryOf(change: ResolverChange): ResolverEntry {
    return resolverEntryOf(change, this.#options.interfaceName)
  }

  /** False if it could not be made, and the tunnel does without. */
  async #tryApply(change: SystemChange): Promise<boolean> {
    // There, whoever moved it sets addresses and routes.
    if (!isLasting(change) && this.#requireDevice().isAway) return false
    if (!isResolverChange(change)) {
      await this.#apply(change)
      return true
    }
    this.#resolverFaults.delete(change.kind)
    try {
      await this.#apply(change)
      return true
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      this.#options.journal.remove(change)
      const what =
        change.kind === 'dns'
          ? 'the DNS servers of the file are not used'
          : 'names of the network do not resolve'
      const fault = `${what}: ${describeFault(error)}`
      this.#resolverFaults.set(change.kind, fault)
      this.#options.warn(fault)
      return false
    }
  }

  async #apply(change: SystemChange): Promise<void> {
    const { journal, interfaceName } = this.#options
    if (isLasting(change)) {
      journal.add(change)
      await applyLastingChange(change, interfaceName)
      return
    }
    const device = this.#requireDevice()
    if (change.kind === 'linkUp') device.up()
    if (change.kind === 'mtu') device.setMtu(change.mtu)
    applyInterfaceChange(change, { name: interfaceName, linkIndex: device.tun.linkIndex })
  }

  async #undo(change: SystemChange): Promise<void> {
    const { journal, interfaceName } = this.#options
    if (isLasting(change)) {
      await undoLastingChange(change, interfaceName)
      journal.remove(change)
      return
    }
    const { linkIndex } = this.#requireDevice().tun
    undoInterfaceChange(change, { name: interfaceName, linkIndex })
  }

  /** A node of a network changes its key by itself, and the key file with it. */
  #withLiveKey(config: TunnelConfig, device: LiveDevice): TunnelConfig {
    if (this.#membership === undefined) return config
    return { ...config, interface: { ...config.interface, privateKey: device.engine.snapshot().privateKey } }
  }

  #requireDevice(): LiveDevice {
    if (this.#device === undefined) throw new RangeError('the tunnel has no device yet')
    return this.#device
  }

  #warnAboutHost(config: TunnelConfig, facts: HostFacts): void {
    const hasIpv6 = config.interface.addresses.some(({ address }) => address.family === 6)
    const left = `${facts.ipv6Fault}: IPv6 addresses and routes are left out`
    this.#hostFaults = hasIpv6 && facts.ipv6Fault !== undefined ? [left] : []
    for (const fault of this.#hostFaults) this.#options.warn(fault)
    if (facts.policy === undefined || facts.hasFirewall || !isReversePathStrict()) return
    this.#options.warn(
      'strict reverse path filtering is on and the program nft is missing: answers through the default ' +
        'route may be dropped (type: sudo apt-get install -y nftables, then down and up again)',
    )
  }

  #hooksOf({ interface: hooks }: TunnelConfig): TunnelHooks {
    return this.#options.runHooks === undefined ? NO_HOOKS : hooks
  }

  async #runHooks(phase: HookPhase, lines: readonly string[], context: HookContext): Promise<void> {
    await this.#options.runHooks?.(phase, lines, context)
  }

  /** After the routes were set, hooks included. */
  #warnAboutEndpoints(device: LiveDevice): void {
    device.underlay.refresh()
    for (const { address } of this.#endpoints.resolved.values()) {
      const fault = describeEndpointRoute(address, device)
      if (fault !== undefined) this.#options.warn(`endpoint ${formatIp(address)}: ${fault}`)
    }
  }

  #hookContext(signal?: AbortSignal): HookContext {
    const { interfaceName, configFile, log, logFile } = this.#options
    return { interfaceName, configFile, log, logFile, ...(signal !== undefined && { signal }) }
  }
}

type TunnelHooks = Pick<TunnelConfig['interface'], 'preUp' | 'postUp' | 'preDown' | 'postDown'>
const NO_HOOKS: TunnelHooks = { preUp: [], postUp: [], preDown: [], postDown: [] }

/** Mark of the outer datagrams: the policy's, if a default route needs one. */
function markOf(config: TunnelConfig, facts: HostFacts): number {
  return facts.policy?.table ?? config.interface.fwMark
}

/** Key files are read when a membership opens: what is in them counts from then on. */
function equalOverlay(a: TunnelConfig, b: TunnelConfig): boolean {
  return JSON.stringify(a.overlay) === JSON.stringify(b.overlay)
}

function requireGoingOn(signal: AbortSignal): void {
  if (signal.aborted) throw new AppError(ERROR_CODES.command, 'it was stopped before it was up')
}
