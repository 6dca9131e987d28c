/**
 * The files that `join` makes: identity, key, tunnel file. Keys are on disk before the hub hears of them, so that a
 * join that was cut short can be repeated as the same node.
 */

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { AppError, ERROR_CODES } from '../../base/errors.js'
import { createLogger } from '../../base/log.js'
import { formatConfig } from '../../config/format.js'
import { parseConfig } from '../../config/parse.js'
import type { OverlayConfig, TunnelConfig } from '../../config/types.js'
import type { Identity } from '../../control/identity.js'
import type { JoinToken } from '../../control/join-token.js'
import type { Place } from '../../control/messages.js'
import { type Prefix, prefixContains, tryParsePrefix } from '../../net/prefix.js'
import { wallNowMs } from '../../platform/clock.js'
import { replaceFile } from '../../platform/replace-file.js'
import { toPlatformError } from '../../platform/system-error.js'
import { nodeCrypto } from '../../wireguard/crypto-node.js'
import { formatKeyBase64, type PublicKey } from '../../wireguard/keys.js'
import { HubKeys } from './hub-keys.js'
import { createIdentityFile, readIdentityFile } from './identity-file.js'
import { KeyFiles, keyNumberOf } from './key-files.js'
import { NetworkStore } from './network-store.js'

const SUFFIX = '.conf'

export interface JoinFiles {
  readonly identity: Identity
  readonly publicKey: PublicKey
  readonly keyNumber: number
  /** The tunnel file as it is; undefined if there is none yet. */
  readonly config: TunnelConfig | undefined
  /** Takes keys away that were made just now and are not to be kept; others stay. */
  discard(): void
  keep(): void
}

/**
 * Files of this node from an earlier join of the same network, or new ones. `isNewKeyTrusted`: the token's hub key
 * is believed where the file holds another. Throws AppError.
 */
export function openJoinFiles(file: string, token: JoinToken, isNewKeyTrusted: boolean): JoinFiles {
  const config = existsSync(file) ? requireSameNetwork(file, token, isNewKeyTrusted) : undefined
  makeDirectory(dirname(file))
  const beside = pathsBeside(file)
  const at = (path: string): string => resolve(dirname(file), path)
  const identityPath = config?.overlay === undefined ? beside.identity : at(config.overlay.identityFile)
  const keyPath = at(config?.interface.privateKeyFile ?? beside.key)
  const made: string[] = []
  if (!existsSync(identityPath)) made.push(identityPath)
  if (!existsSync(keyPath)) made.push(keyPath)
  const discard = (): void => {
    for (const path of made) rmSync(path, { force: true })
  }
  try {
    const identity = made.includes(identityPath)
      ? createIdentityFile(identityPath)
      : readIdentityFile(identityPath)
    if (made.includes(keyPath)) createKeyFile(keyPath)
    const { key, sinceMs } = new KeyFiles(keyPath).readCurrent()
    const { publicKey } = nodeCrypto.dhPrivateKey(key)
    const keep = (): void => {
      made.length = 0
    }
    return { identity, publicKey, keyNumber: keyNumberOf(sinceMs), config, discard, keep }
  } catch (error) {
    discard()
    throw error
  }
}

export interface TunnelFileRequest {
  readonly file: string
  readonly token: JoinToken
  readonly range: Prefix | undefined
  readonly proxy: string | undefined
  readonly proxyCa: string | undefined
}

/** `before`: the file as it was. Throws PlatformError. */
export function writeTunnelFile(
  request: TunnelFileRequest,
  place: Place,
  before: TunnelConfig | undefined,
): void {
  const { file } = request
  const config = before === undefined ? createConfig(request, place) : withPlace(before, request, place)
  const text = formatConfig(config)
  if (before !== undefined && text === formatConfig(before)) return // comments in it stay
  replaceFile(file, text, `cannot write ${file}`)
}

function createConfig({ token, file, range, proxy, proxyCa }: TunnelFileRequest, place: Place): TunnelConfig {
  const { key, identity } = pathsBeside(file)
  const lines = [
    '[Interface]',
    `PrivateKeyFile = ${basename(key)}`,
    `Address = ${addressesOf(place).join(', ')}`,
  ]
  const overlay: OverlayConfig = {
    hub: token.hub,
    hubKey: token.hubKey,
    network: place.network,
    name: place.name,
    identityFile: basename(identity),
    ...(proxy !== undefined && { proxy }),
    ...(proxyCa !== undefined && { proxyCa }),
    ...(range !== undefined && { range }),
  }
  return { ...parseConfig(lines.join('\n'), file), overlay }
}

/** What the person's token and the hub say goes into the file; everything else in it stays. */
function withPlace(config: TunnelConfig, { token, range }: TunnelFileRequest, place: Place): TunnelConfig {
  const { overlay } = config
  if (overlay === undefined) return config
  const network = [place.prefix4, place.prefix6].flatMap((text) => tryParsePrefix(text) ?? [])
  const others = config.interface.addresses.filter(
    ({ address }) => !network.some((prefix) => prefixContains(prefix, address)),
  )
  const own = addressesOf(place).flatMap((text) => tryParsePrefix(text) ?? [])
  return {
    ...config,
    interface: { ...config.interface, addresses: [...own, ...others] },
    overlay: {
      ...overlay,
      hub: token.hub,
      hubKey: token.hubKey,
      name: place.name,
      ...(range !== undefined && { range }),
    },
  }
}

function addressesOf({ v4, v6, prefix4, prefix6 }: Place): string[] {
  const bitsOf = (prefix: string): string => prefix.split('/')[1] ?? ''
  return [`${v4}/${bitsOf(prefix4)}`, `${v6}/${bitsOf(prefix6)}`]
}

function requireSameNetwork(
  file: string,
  { network, hubKey }: JoinToken,
  isNewKeyTrusted: boolean,
): TunnelConfig {
  const config = parseConfig(readFileSync(file, 'utf8'), file)
  const { overlay } = config
  if (overlay === undefined || overlay.network !== network || config.interface.privateKeyFile === undefined) {
    throw new AppError(ERROR_CODES.config, `there is a file ${file} already, and not of this network`, {
      hint: 'choose another file with --file',
    })
  }
  const isKnown = hubKeysOf(file, overlay).some((known) => formatKeyBase64(known) === formatKeyBase64(hubKey))
  if (isNewKeyTrusted || isKnown) return config
  throw new AppError(ERROR_CODES.config, `${file} is of a network ${network} whose hub has another key`, {
    hint: 'another network: choose another file with --file; if the key of this hub was changed: --new-key',
  })
}

function createKeyFile(path: string): void {
  const { bytes } = nodeCrypto.dhPrivateKey(new Uint8Array(randomBytes(32)))
  replaceFile(path, `${formatKeyBase64(bytes)}\n`, `cannot write ${path}`)
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 })
  } catch (error) {
    throw toPlatformError(error, `cannot make ${path}`, 'run as root, for example with sudo')
  }
}

/** The other files of a tunnel file that join makes. */
export function pathsBeside(file: string): { identity: string; key: string } {
  const stem = file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : file
  return { identity: `${stem}.identity`, key: `${stem}.key` }
}

/** Where the file of a network goes if nobody says otherwise. */
export function defaultFile(network: string): string {
  return join('/etc/overlay', `${network.slice(0, 15)}${SUFFIX}`)
}

/** That this node knows its hub by. Throws AppError. */
export function hubKeysOf(file: string, { hubKey }: OverlayConfig): readonly PublicKey[] {
  const store = openStore(file)
  const save = (): never => {
    throw new RangeError('keys are learnt by a running interface')
  }
  return new HubKeys({ fileKey: hubKey, stored: store.readHubKey(), save, wallNowMs }).all
}

/** What the interface of a tunnel file keeps. Throws PlatformError. */
export function openStore(file: string): NetworkStore {
  return new NetworkStore(
    interfaceOf(file),
    createLogger({ level: 'error', write: () => undefined, wallNowMs }),
  )
}

/** The interface that a tunnel file makes. */
export function interfaceOf(file: string): string {
  return basename(file, SUFFIX)
}
