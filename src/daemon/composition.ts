/**
 * The composition root: the only place that constructs a whole daemon, and so the only one that knows
 * all its parts. Order and lifetime are the business of daemon.ts and tunnel.ts.
 */

import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { createLogger, type Logger } from '../base/log.js'
import { bootNowMs, wallNowMs } from '../platform/clock.js'
import { forbidDumps } from '../platform/dumps.js'
import { ensureRunDirectory, type RunPaths, runPaths } from '../platform/run-directory.js'
import { disableLinkLocalAddress } from '../platform/sysctl.js'
import { openTun } from '../platform/tun.js'
import { labelTunnel, Underlay } from '../platform/underlay.js'
import { DEFAULT_MTU, MAX_PEERS } from '../wireguard/constants.js'
import type { Crypto } from '../wireguard/crypto.js'
import { nobleCrypto } from '../wireguard/crypto-noble.js'
import { nodeCrypto } from '../wireguard/crypto-node.js'
import type { PublicKey } from '../wireguard/keys.js'
import { chooseDataPlane, type DataPlaneChoice } from './choose-data-plane.js'
import { Daemon, type ServiceContext } from './daemon.js'
import { DeviceService } from './device-service.js'
import { EndpointRefresh } from './endpoint-refresh.js'
import { Engine } from './engine.js'
import { Guard, previousEnd } from './guard.js'
import { areHooksOfService, runHooks } from './hooks.js'
import { LiveDevice } from './live-device.js'
import { type LogFile, openDaemonLog, standardErrorLog } from './log-file.js'
import { openMembership } from './network/open-membership.js'
import type { Service } from './service.js'
import { Tunnel } from './tunnel.js'
import { loadTunnelFrom } from './tunnel-file.js'
import { describeFault } from './undo.js'
import { createWakeUp } from './wake-up.js'

export interface DaemonRequest {
  readonly interfaceName: string
  /** Undefined for a bare device. */
  readonly configFile: string | undefined
  /** False: the machine's resolver stays as it is. */
  readonly hasDns: boolean
  /** It is up when all names of endpoints are resolved, and not before. */
  readonly waitsForNames?: boolean
  /** Log to the standard error instead of a file. */
  readonly isForeground: boolean
  readonly isVerbose: boolean
  readonly onReady: () => void
  readonly onWarning: (text: string) => void
  /** Aborting it stops the daemon. */
  readonly signal?: AbortSignal
}

/** Resolves when the interface is down again; rejects if it did not come up. */
export async function runDaemon(request: DaemonRequest): Promise<void> {
  const { interfaceName, configFile } = request
  forbidDumps()
  const paths = runPaths(interfaceName)
  ensureRunDirectory(paths.directory)
  const logFile = request.isForeground ? standardErrorLog() : openDaemonLog(interfaceName)
  const log = createLogger({
    level: request.isVerbose ? 'debug' : 'info',
    write: (line) => logFile.writeLine(line),
    wallNowMs,
  })
  process.on('uncaughtExceptionMonitor', (error) => log.error('crashed', { stack: error.stack }))
  const guard = Guard.tryConnect(process.env)
  const reason = previousEnd(process.env)
  if (reason !== undefined) log.warn('started.again', { reason })
  const crypto = chooseCrypto()
  const parts: Parts = {
    request,
    paths,
    log,
    logFile,
    crypto,
    guard,
    dataPlane: chooseDataPlane(process.env, crypto),
  }
  const owner = {
    interface: interfaceName,
    mode: configFile === undefined ? ('device' as const) : ('tunnel' as const),
    configFile: configFile === undefined ? '' : resolve(configFile),
    guard: guard?.process,
  }
  const { signal } = request
  const onReady = (): void => {
    guard?.reportReady()
    request.onReady()
  }
  try {
    await Daemon.run({
      owner,
      paths,
      log,
      logFile,
      onReady,
      ...(signal !== undefined && { signal }),
      createService: (context) => createService(parts, context),
    })
  } catch (error) {
    // Of a daemon that was started again nobody else hears why.
    if (!request.isForeground) log.error('start.failed', { reason: describeFailure(error) })
    throw error
  } finally {
    logFile.close()
  }
}

/** What a hook printed is in the log already. */
function describeFailure(error: unknown): string {
  return error instanceof AppError && error.code === ERROR_CODES.command
    ? error.message
    : describeFault(error)
}

interface Parts {
  readonly request: DaemonRequest
  readonly paths: RunPaths
  readonly log: Logger
  readonly logFile: LogFile
  readonly crypto: Crypto
  readonly guard: Guard | undefined
  readonly dataPlane: DataPlaneChoice
}

function createService(parts: Parts, context: ServiceContext): Service {
  const { request, log, logFile } = parts
  const { interfaceName, configFile } = request
  if (configFile === undefined) {
    return new DeviceService(async () => await openDevice(parts, context, () => undefined))
  }
  const warn = (text: string): void => {
    log.warn('tunnel.warning', { text })
    request.onWarning(text)
  }
  const tunnel: Tunnel = new Tunnel({
    interfaceName,
    configFile: resolve(configFile),
    load: loadTunnelFrom(configFile),
    openDevice: async () => await openDevice(parts, context, (key) => void refresh.handleFailing(key)),
    openMembership: (config, device) =>
      openMembership({
        interfaceName,
        configFile: resolve(configFile),
        config,
        device,
        crypto: parts.crypto,
        log,
        warn,
      }),
    journal: context.journal,
    bootNowMs,
    hasDns: request.hasDns,
    waitsForNames: request.waitsForNames ?? false,
    log,
    logFile,
    warn,
    runHooks: areHooksOfService(process.env) ? undefined : (parts.guard?.runHooks ?? runHooks),
  })
  const refresh = new EndpointRefresh({
    config: () => tunnel.config,
    engine: () => tunnel.device?.engine,
    bootNowMs,
    log,
  })
  return tunnel
}

async function openDevice(
  parts: Parts,
  context: ServiceContext,
  onHandshakeFailing: (publicKey: PublicKey) => void,
): Promise<LiveDevice> {
  const { request, paths, log, crypto, dataPlane } = parts
  const { hasOffloads } = dataPlane
  const tun = openTun({ name: request.interfaceName, mtu: DEFAULT_MTU, hasOffloads })
  disableLinkLocalAddress(request.interfaceName)
  labelTunnel(tun.linkIndex, undefined)
  const underlay = new Underlay(() => engine.fwmark)
  const engine: Engine = new Engine({
    createDataPlane: (listener) => dataPlane.create({ tun, capacity: MAX_PEERS, mtu: DEFAULT_MTU, listener }),
    createWakeUp: (onWake) => createWakeUp(bootNowMs, onWake),
    capacity: MAX_PEERS,
    crypto,
    random: (length) => new Uint8Array(randomBytes(length)),
    bootNowMs,
    wallNowMs,
    log,
    routes: {
      choose: (path) => underlay.outerPath(path),
      linkTo: ({ remote }) => underlay.linkTo(remote.address),
      hasAddress: (link, address) => underlay.hasAddress(link, address),
    },
    onHandshakeFailing,
  })
  const { onRemoved } = context
  const options = { tun, engine, underlay, uapiSocket: paths.uapiSocket, log, onRemoved }
  return await LiveDevice.open(options, DEFAULT_MTU)
}

/** The faster provider, unless the environment asks for the one that is all TypeScript. */
function chooseCrypto(): Crypto {
  const name = process.env.OVERLAY_CRYPTO ?? nodeCrypto.name
  if (name === nodeCrypto.name) return nodeCrypto
  if (name === nobleCrypto.name) return nobleCrypto
  throw new AppError(ERROR_CODES.usage, `OVERLAY_CRYPTO cannot be "${name}"`, {
    hint: 'allowed: node, noble',
  })
}
