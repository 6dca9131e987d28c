/**
 * What a hub keeps in its state directory: settings (hub.json), secret (hub.key), certificate (hub.pem),
 * store (hub.db), the socket of its administration (hub.sock), and that of the control connections that its
 * front brings (control.sock). The directory is the owner's alone.
 */

import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { formatBase64, tryParseBase64 } from '../base/bytes.js'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { type Identity, identityFromSeed } from '../control/identity.js'
import type { RelayInfo } from '../control/messages.js'
import { createCertificate } from '../hub/io/certificate.js'
import { replaceFile } from '../platform/replace-file.js'
import { toPlatformError } from '../platform/system-error.js'
import type { Crypto, DhPrivateKey } from '../wireguard/crypto.js'
import { kdf1 } from '../wireguard/kdf.js'
import { shellWord } from './shell-word.js'

export const HUB_STATE_DIRECTORY = '/var/lib/overlay-hub'
const SEED_BYTES = 32
const SESSION_LABEL = new TextEncoder().encode('overlay hub session key v1')
const SIGNING_LABEL = new TextEncoder().encode('overlay hub signing key v1')
const RELAY_LABEL = new TextEncoder().encode('overlay hub relay key v1')

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
}

/**
 * Makes the directory and all in it but store and key; what an init that broke off left is replaced. Throws
 * AppError if there is a hub already, or was one.
 */
export function writeHubState(paths: HubPaths, settings: HubSettings): void {
  const { directory } = paths
  if (existsSync(paths.key)) {
    throw new AppError(ERROR_CODES.alreadyRunning, `there is a hub in ${directory} already`, {
      hint: 'start it: overlay hub start; or choose another directory with --state',
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
  replaceFile(paths.key, `${formatBase64(randomBytes(SEED_BYTES))}\n`, `cannot write ${paths.key}`)
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

/** Throws AppError. */
export function readHubSecrets(paths: HubPaths, crypto: Crypto): HubSecrets {
  const seed = tryParseBase64(readState(paths, paths.key).trim())
  if (seed?.length !== SEED_BYTES) throw damaged(paths, paths.key)
  const pem = readState(paths, paths.certificate)
  const [key = '', cert = ''] = pem.split(/(?=-----BEGIN CERTIFICATE)/)
  return {
    session: crypto.dhPrivateKey(kdf1(crypto, SESSION_LABEL, seed)),
    identity: identityFromSeed(kdf1(crypto, SIGNING_LABEL, seed)),
    relaySeed: kdf1(crypto, RELAY_LABEL, seed),
    certificate: { key, cert },
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
      hint: 'make one: overlay hub init NETWORK --address HOST',
      cause: error,
    })
  }
}

function damaged(paths: HubPaths, path: string): AppError {
  return new AppError(ERROR_CODES.config, `${path} is damaged`, { hint: restoreHint(paths) })
}

function restoreHint({ directory }: HubPaths): string {
  return `restore a backup: overlay hub restore FILE --state ${directory}`
}
