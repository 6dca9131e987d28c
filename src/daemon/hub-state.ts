/**
 * What a hub keeps in its state directory: settings (hub.json), secret (hub.key), certificate (hub.pem),
 * store (hub.db), the socket of its administration (hub.sock), and that of the control connections that its
 * front brings (control.sock). The directory is the owner's alone.
 */

import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { z } from 'zod'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { shellWord } from '../base/shell-word.js'
import type { Identity } from '../control/identity.js'
import type { RelayInfo } from '../control/messages.js'
import { createCertificate } from '../hub/io/certificate.js'
import { replaceFile } from '../platform/replace-file.js'
import { toPlatformError } from '../platform/system-error.js'
import type { Crypto, DhPrivateKey } from '../wireguard/crypto.js'
import {
  formatHubKeys,
  type HubKeys,
  relaySeed,
  SEED_BYTES,
  sessionKey,
  signingKey,
  tryParseHubKeys,
} from './hub-keys.js'

export const HUB_STATE_DIRECTORY = '/var/lib/overlay-hub'

export interface HubSettings {
  /** Host name or address under which nodes reach it. */
  readonly address: string
  readonly port: number
  readonly stunPort: number
  /** Addresses for STUN; with two of one family it can tell every kind of NAT. */
  readonly stunAddresses: readonly string[]
  /** Other relays of this network. */
  readonly relays: readonly RelayInfo[]
}

const hubSettings: z.ZodType<HubSettings> = z.object({
  address: z.string().min(1).max(253),
  port: z.number().int().min(1).max(65535),
  stunPort: z.number().int().min(1).max(65534),
  stunAddresses: z.array(z.string()).max(4),
  relays: z.array(z.object({ key: z.string().length(44), host: z.string(), port: z.number() })).max(63),
})

/** SQLite's files of one store, behind its path. */
export const STORE_ENDS: readonly string[] = ['', '-wal', '-shm']

export interface HubPaths {
  readonly directory: string
  readonly settings: string
  readonly key: string
  readonly certificate: string
  readonly store: string
  /** Of its administration. */
  readonly socket: string
  /** Of the control connections that its front brings. */
  readonly control: string
}

export function hubPaths(directory: string): HubPaths {
  return {
    directory,
    settings: join(directory, 'hub.json'),
    key: join(directory, 'hub.key'),
    certificate: join(directory, 'hub.pem'),
    store: join(directory, 'hub.db'),
    socket: join(directory, 'hub.sock'),
    control: join(directory, 'control.sock'),
  }
}

/** How commands for this hub begin: `overlay hub`, and where its state is if it is not where it usually is. */
export function hubCommand({ directory }: HubPaths): string {
  return directory === HUB_STATE_DIRECTORY ? 'overlay hub' : `overlay hub --state ${shellWord(directory)}`
}

export interface HubSecrets {
  /** Of control sessions. */
  readonly session: DhPrivateKey
  /** Signs tickets. */
  readonly identity: Identity
  /** Of the identity of the hub's own relay: another, because a relay meets strangers. */
  readonly relaySeed: Uint8Array
  /** Key and certificate of TLS, in PEM. */
  readonly certificate: { readonly key: string; readonly cert: string }
  /** The session key before, which counts until then, in seconds since 1970. */
  readonly previous: { readonly session: DhPrivateKey; readonly untilS: number } | undefined
  /** Proves to relays that `identity` follows another. */
  readonly succession: Uint8Array | undefined
}

/**
 * Makes the directory and all in it but store and key; what an init that broke off left is replaced. Throws
 * AppError if there is a hub already, or was one.
 */
export function writeHubState(paths: HubPaths, settings: HubSettings): void {
  const { directory } = paths
  if (existsSync(paths.key)) {
    throw new AppError(ERROR_CODES.alreadyRunning, `there is a hub in ${directory} already`, {
      hint: `start it: ${hubCommand(paths)} start; or choose another directory with --state`,
    })
  }
  if (existsSync(paths.store)) {
    throw new AppError(ERROR_CODES.config, `there is a store of a hub in ${directory}, and no key to it`, {
      hint: `${restoreHint(paths)}; or choose another directory with --state`,
    })
  }
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    chmodSync(directory, 0o700)
    const { key, cert } = createCertificate(settings.address)
    replaceFile(paths.certificate, key + cert, `cannot write ${paths.certificate}`)
    replaceFile(
      paths.settings,
      `${JSON.stringify(settings, undefined, 2)}\n`,
      `cannot write ${paths.settings}`,
    )
  } catch (error) {
    throw toPlatformError(
      error,
      `cannot write to ${directory}`,
      'run as root, or choose another with --state',
    )
  }
}

/** Last of all: a directory without a key holds no hub. Throws AppError. */
export function writeHubKey(paths: HubPaths): void {
  const seed = new Uint8Array(randomBytes(SEED_BYTES))
  replaceFile(paths.key, formatHubKeys({ seed }), `cannot write ${paths.key}`)
}

/** Throws AppError. */
export function readHubSettings(paths: HubPaths): HubSettings {
  const settings = tryParseHubSettings(readState(paths, paths.settings))
  if (settings === undefined) throw damaged(paths, paths.settings)
  return settings
}

export function tryParseHubSettings(text: string): HubSettings | undefined {
  try {
    return hubSettings.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** Lasting when it returns. Throws PlatformError; then the file is as it was. */
export function replaceHubSettings(paths: HubPaths, settings: HubSettings): void {
  const text = `${JSON.stringify(settings, undefined, 2)}\n`
  replaceFile(paths.settings, text, `cannot write ${paths.settings}, so nothing was changed`)
}

/** Throws AppError. */
export function readHubKeys(paths: HubPaths): HubKeys {
  const keys = tryParseHubKeys(readState(paths, paths.key))
  if (keys === undefined) throw damaged(paths, paths.key)
  return keys
}

/** Lasting when it returns. Throws PlatformError; then the file is as it was. */
export function replaceHubKeys(paths: HubPaths, keys: HubKeys): void {
  replaceFile(paths.key, formatHubKeys(keys), `cannot write ${paths.key}, so the keys were not changed`)
}

/** Throws AppError. */
export function readHubSecrets(paths: HubPaths, crypto: Crypto): HubSecrets {
  const keys = readHubKeys(paths)
  const { seed, previous, succession } = keys
  const pem = readState(paths, paths.certificate)
  const [key = '', cert = ''] = pem.split(/(?=-----BEGIN CERTIFICATE)/)
  if (!isCertificate(key, cert)) throw damaged(paths, paths.certificate)
  return {
    session: sessionKey(crypto, seed),
    identity: signingKey(crypto, seed),
    relaySeed: relaySeed(crypto, seed),
    certificate: { key, cert },
    previous: previous && { session: sessionKey(crypto, previous.seed), untilS: previous.untilS },
    succession,
  }
}

/** As TLS will look at it, in another process and later. */
function isCertificate(key: string, cert: string): boolean {
  try {
    createSecureContext({ key, cert })
    return true
  } catch {
    return false
  }
}

function readState(paths: HubPaths, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const failure = toPlatformError(error, `cannot read ${path}`, 'run as root, for example with sudo')
    if (failure.errno !== 'ENOENT') throw failure
    const isRest = [paths.settings, paths.key, paths.store].some((other) => existsSync(other))
    if (isRest) throw new AppError(ERROR_CODES.config, `${path} is missing`, { hint: restoreHint(paths) })
    throw new AppError(ERROR_CODES.config, `there is no hub in ${paths.directory}`, {
      hint: `make one: ${hubCommand(paths)} init NETWORK --address HOST`,
      cause: error,
    })
  }
}

function damaged(paths: HubPaths, path: string): AppError {
  return new AppError(ERROR_CODES.config, `${path} is damaged`, { hint: restoreHint(paths) })
}

function restoreHint({ directory }: HubPaths): string {
  return `restore a backup: overlay hub restore FILE --state ${shellWord(directory)}`
}
