/**
 * What a hub keeps in its state directory: settings (hub.json), secret (hub.key), certificate (hub.pem),
 * store (hub.db), the socket of its administration (hub.sock), and that of the control connections that its
 * front brings (control.sock). The directory is the owner's alone.
 */

import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { formatBase64, tryParseBase64 } from '../base/bytes.js'
import { AppError, ERROR_CODES } from '../base/errors.js'
import { type Identity, identityFromSeed } from '../control/identity.js'
import type { RelayInfo } from '../control/messages.js'
import { createCertificate } from '../hub/io/certificate.js'
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

function isHubInitialised(paths: HubPaths): boolean {
  return existsSync(paths.settings) && existsSync(paths.key)
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

/** Throws AppError if there is a hub already. */
export function writeHubState(paths: HubPaths, settings: HubSettings): void {
  if (isHubInitialised(paths)) {
    throw new AppError(ERROR_CODES.alreadyRunning, `there is a hub in ${paths.directory} already`, {
      hint: `start it: ${hubCommand(paths)} start; or choose another directory with --state`,
    })
  }
  try {
    mkdirSync(paths.directory, { recursive: true, mode: 0o700 })
    chmodSync(paths.directory, 0o700)
    const { key, cert } = createCertificate(settings.address)
    writePrivate(paths.certificate, key + cert)
    writePrivate(paths.settings, `${JSON.stringify(settings, undefined, 2)}\n`)
    writePrivate(paths.key, `${formatBase64(randomBytes(SEED_BYTES))}\n`)
  } catch (error) {
    throw toPlatformError(
      error,
      `cannot write to ${paths.directory}`,
      'run as root, or choose another with --state',
    )
  }
}

/** Throws AppError. */
export function readHubSettings(paths: HubPaths): HubSettings {
  const text = readState(paths, paths.settings)
  try {
    return hubSettings.parse(JSON.parse(text))
  } catch (error) {
    throw damaged(paths.settings, error)
  }
}

/** Throws AppError. */
export function readHubSecrets(paths: HubPaths, crypto: Crypto): HubSecrets {
  const seed = tryParseBase64(readState(paths, paths.key).trim())
  if (seed?.length !== SEED_BYTES) throw damaged(paths.key, undefined)
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
    throw new AppError(ERROR_CODES.config, `there is no hub in ${paths.directory}`, {
      hint: `make one: ${hubCommand(paths)} init NETWORK --address HOST`,
      cause: error,
    })
  }
}

function damaged(path: string, cause: unknown): AppError {
  return new AppError(ERROR_CODES.config, `${path} is damaged`, { hint: 'put a backup in its place', cause })
}

function writePrivate(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
}
