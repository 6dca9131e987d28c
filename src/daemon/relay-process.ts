/** Composes and runs a relay that is no hub. */

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createLogger } from '../base/log.js'
import { createCertificate } from '../hub/io/certificate.js'
import { FrontDoor } from '../hub/io/front-door.js'
import { StunServer } from '../hub/io/stun-server.js'
import type { HostEndpoint } from '../net/endpoint.js'
import { bootNowMs, wallNowMs } from '../platform/clock.js'
import { forbidDumps } from '../platform/dumps.js'
import { notifyServiceManager } from '../platform/notify.js'
import { toPlatformError } from '../platform/system-error.js'
import { RelayServer } from '../relay/io/relay-server.js'
import { RelayDirectories } from '../relay/relay-directories.js'
import { nodeCrypto } from '../wireguard/crypto-node.js'
import type { PublicKey } from '../wireguard/keys.js'
import { standardErrorLog } from './log-file.js'
import { createIdentityFile, readIdentityFile } from './network/identity-file.js'
import { RelayHub } from './relay-hub.js'

export const RELAY_STATE_DIRECTORY = '/var/lib/overlay-relay'

export interface RelayRequest {
  /** Holds its key. */
  readonly directory: string
  readonly port: number
  /** Whose nodes it serves. */
  readonly hubs: readonly { readonly hub: HostEndpoint; readonly hubKey: PublicKey }[]
  /** Identities, in base64, that need no hub. */
  readonly allowed: readonly string[]
  readonly maxBytesPerS: number
  readonly isVerbose: boolean
  readonly onReady: (relay: { readonly key: string; readonly port: number }) => void
}

/** Resolves when a signal has ended it. Throws AppError if it does not start. */
export async function runRelay(request: RelayRequest): Promise<void> {
  forbidDumps()
  const { directory, port, hubs, allowed, maxBytesPerS } = request
  const log = createLogger({
    level: request.isVerbose ? 'debug' : 'info',
    write: (line) => standardErrorLog().writeLine(line),
    wallNowMs,
  })
  const identity = openIdentity(directory)
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
  const networks: RelayHub[] = hubs.map(
    (hub) =>
      new RelayHub({
        ...hub,
        identity,
        directory,
        crypto: nodeCrypto,
        random,
        wallNowMs,
        nowMs: bootNowMs,
        log,
        onChange: (gone, from) => server.handleDirectoryChange(directories.unwelcome(gone, from)),
      }),
  )
  const directories = new RelayDirectories({
    networks: () => networks.flatMap((network) => network.directory ?? []),
    allowed: new Set(allowed),
  })
  const server = new RelayServer(
    {
      key: identity.sessionKey(nodeCrypto),
      crypto: nodeCrypto,
      random,
      directory: directories,
      maxBytesPerS,
    },
    bootNowMs,
  )
  const door = await FrontDoor.open({
    host: undefined,
    port,
    certificate: createCertificate('overlay relay'),
    onRelay: (stream, remote) => server.accept(stream, remote),
    onControl: (socket) => socket.terminate(),
  })
  const stun = await StunServer.open({
    addresses: [],
    ports: [],
    sparePort: door.port,
    hint: '',
    nowMs: bootNowMs,
  })
  if (!stun.isOpen) log.warn('relay.no_stun', { reason: `UDP port ${door.port} is taken` })
  for (const network of networks) network.start()
  log.info('relay.ready', { port: door.port, pid: process.pid })
  request.onReady({ key: identity.text, port: door.port })
  notifyServiceManager('READY=1')
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve())
  })
  notifyServiceManager('STOPPING=1')
  for (const network of networks) network.stop()
  server.stop()
  await stun.close()
  await door.close()
  log.info('relay.ended', { ...server.totals() })
}

function openIdentity(directory: string): ReturnType<typeof readIdentityFile> {
  const path = join(directory, 'relay.identity')
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw toPlatformError(error, `cannot make ${directory}`, 'run as root, or choose another with --state')
  }
  const wayOut = `remove it, and name the new relay to its hubs: overlay hub relay add`
  return existsSync(path) ? readIdentityFile(path, wayOut) : createIdentityFile(path)
}
