/** Enrolment of this machine in a network, and its end: keys, one talk with the hub, and the tunnel file. */

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { AppError, ERROR_CODES } from '../../base/errors.js'
import { createLogger } from '../../base/log.js'
import { formatConfig } from '../../config/format.js'
import { parseConfig } from '../../config/parse.js'
import type { OverlayConfig } from '../../config/types.js'
import type { Identity } from '../../control/identity.js'
import type { JoinToken } from '../../control/join-token.js'
import type { HubMessage, Refusal, Welcome } from '../../control/messages.js'
import { signTunnelKey } from '../../control/tunnel-key.js'
import { DNS_LABEL } from '../../net/dns-label.js'
import { formatHostEndpoint } from '../../net/endpoint.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import type { Prefix } from '../../net/prefix.js'
import { wallNowMs } from '../../platform/clock.js'
import { toPlatformError } from '../../platform/system-error.js'
import { nodeCrypto } from '../../wireguard/crypto-node.js'
import { formatKeyBase64, type PublicKey } from '../../wireguard/keys.js'
import { CLOCK_HINT, describeClockDifference } from '../clock-difference.js'
import { faultOf, requireConfirmed } from './assigned-addresses.js'
import { HubLink } from './hub-link.js'
import { createIdentityFile, readIdentityFile } from './identity-file.js'
import { KeyFiles, keyNumberOf, previousKeyFile } from './key-files.js'
import { validitySpan } from './key-rotation.js'
import { NetworkStore } from './network-store.js'
import { openProxy } from './open-proxy.js'
import { localPrefixes } from './own-addresses.js'

const TIMEOUT_MS = 15_000
const SUFFIX = '.conf'

export interface JoinRequest {
  readonly token: JoinToken
  /** Path of the tunnel file to be; it is not there yet. */
  readonly file: string
  /** Undefined for one made from the machine's name. */
  readonly name: string | undefined
  /** Of the network, as a person confirmed it. */
  readonly range: Prefix | undefined
  readonly proxy: string | undefined
  /** Path, absolute, of certificates by which the proxy is known. */
  readonly proxyCa: string | undefined
}

export interface JoinResult {
  readonly file: string
  readonly interface: string
  readonly network: string
  readonly name: string
  readonly addresses: readonly string[]
}

/** Throws AppError; then nothing is left behind. */
export async function joinNetwork(request: JoinRequest): Promise<JoinResult> {
  const { file, token } = request
  const paths = pathsBeside(file)
  if (existsSync(file)) {
    throw new AppError(ERROR_CODES.config, `there is a file ${file} already`, {
      hint: `leave that network first: overlay leave ${file}; or choose another file with --file`,
    })
  }
  requireConfirmed(token.range, request.range)
  makeDirectory(dirname(file))
  const identity = createIdentityFile(paths.identity)
  try {
    const privateKey = nodeCrypto.dhPrivateKey(new Uint8Array(randomBytes(32)))
    writeSecret(paths.key, `${formatKeyBase64(privateKey.bytes)}\n`)
    const welcome = await enrol(request, identity, privateKey.publicKey)
    writeSecret(file, createFile(request, welcome))
    const { network, name, v4, v6 } = welcome
    return { file, interface: basename(file, SUFFIX), network, name, addresses: [v4, v6] }
  } catch (error) {
    for (const path of [paths.identity, paths.key]) rmSync(path, { force: true })
    throw error
  }
}

/** The other files of a tunnel file that join makes. */
function pathsBeside(file: string): { identity: string; key: string } {
  const stem = file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : file
  return { identity: `${stem}.identity`, key: `${stem}.key` }
}

async function enrol(request: JoinRequest, identity: Identity, publicKey: PublicKey): Promise<Welcome> {
  const { token, name, range, proxy, proxyCa } = request
  let fault: AppError | undefined
  const answer = await talk({
    hub: token.hub,
    hubKey: token.hubKey,
    identity,
    publicKey,
    keyNumber: keyNumberOf(new KeyFiles(pathsBeside(request.file).key).readCurrent().sinceMs),
    proxy: openProxy({ proxy, proxyCa }, dirname(request.file)),
    hello: { secret: token.secret, ...nameOf(name) },
    isAnswer: (message) => message.type === 'welcome' || message.type === 'refused',
    afterAnswer: (message, link) => {
      if (message.type !== 'welcome') return
      fault = faultOf(message, identity.publicKey, range)
      if (fault !== undefined) link.send({ type: 'leave' })
    },
  })
  if (fault !== undefined) throw fault
  if (answer.type === 'welcome') return answer
  throw refused(answer as Refusal)
}

/** The machine's name is a wish only: a hub may add a number to it. */
function nameOf(name: string | undefined): { name?: string } {
  if (name !== undefined) return { name }
  const own =
    hostname()
      .toLowerCase()
      .split('.')[0]
      ?.replaceAll(/[^a-z0-9-]/g, '-') ?? ''
  return DNS_LABEL.test(own) ? { name: own } : {}
}

function createFile({ token, file, range, proxy, proxyCa }: JoinRequest, welcome: Welcome): string {
  const { network, name, v4, v6, prefix4, prefix6 } = welcome
  const bitsOf = (prefix: string): string => prefix.split('/')[1] ?? ''
  const paths = pathsBeside(file)
  const interfaceText = [
    '[Interface]',
    `PrivateKeyFile = ${basename(paths.key)}`,
    `Address = ${v4}/${bitsOf(prefix4)}, ${v6}/${bitsOf(prefix6)}`,
  ].join('\n')
  const overlay: OverlayConfig = {
    hub: token.hub,
    hubKey: token.hubKey,
    network,
    name,
    identityFile: basename(paths.identity),
    ...(proxy !== undefined && { proxy }),
    ...(proxyCa !== undefined && { proxyCa }),
    ...(range !== undefined && { range }),
  }
  return formatConfig({ ...parseConfig(interfaceText, file), overlay })
}

/** Tells the hub, then removes what join and the tunnel made. `isForced`: also if the hub does not hear it. */
export async function leaveNetwork(file: string, overlay: OverlayConfig, isForced: boolean): Promise<void> {
  const identityFile = resolve(dirname(file), overlay.identityFile)
  try {
    const identity = readIdentityFile(identityFile)
    const ephemeral = nodeCrypto.dhPrivateKey(new Uint8Array(randomBytes(32)))
    await talk({
      hub: overlay.hub,
      hubKey: overlay.hubKey,
      identity,
      publicKey: ephemeral.publicKey,
      keyNumber: keyNumberOf(wallNowMs()),
      proxy: openProxy(overlay, dirname(file)),
      hello: {},
      isAnswer: (message) => message.type === 'refused',
      afterAnswer: (message, link) => {
        if (message.type === 'welcome') link.send({ type: 'leave' })
      },
    })
  } catch (error) {
    if (!isForced) throw error
  }
  const { key } = pathsBeside(file)
  for (const path of [file, key, previousKeyFile(key), identityFile]) rmSync(path, { force: true })
  const log = createLogger({ level: 'error', write: () => undefined, wallNowMs })
  new NetworkStore(basename(file, SUFFIX), log).delete()
}

interface Talk {
  readonly hub: OverlayConfig['hub']
  readonly hubKey: PublicKey
  readonly identity: Identity
  readonly publicKey: PublicKey
  readonly keyNumber: number
  readonly proxy: HttpProxy | undefined
  readonly hello: { readonly secret?: string; readonly name?: string }
  /** Ends it. */
  readonly isAnswer: (message: HubMessage) => boolean
  /** Called with every message. */
  readonly afterAnswer: (message: HubMessage, link: HubLink) => void
}

async function talk(request: Talk): Promise<HubMessage> {
  const { hub, hubKey, identity, publicKey, keyNumber: number, proxy, hello, isAnswer, afterAnswer } = request
  let reason = 'no answer'
  return await new Promise<HubMessage>((resolveTalk, reject) => {
    const link = new HubLink({
      hub,
      hubKey,
      identity,
      proxy,
      crypto: nodeCrypto,
      random: (length) => new Uint8Array(randomBytes(length)),
      log: createLogger({ level: 'error', write: () => undefined, wallNowMs }),
      hello: () => ({
        tunnelKey: signTunnelKey(identity, publicKey, { number, ...validitySpan(wallNowMs()) }),
        localPrefixes: localPrefixes(''),
        ...hello,
      }),
      onMessage: (message) => {
        afterAnswer(message, link)
        if (!isAnswer(message)) return
        finish()
        resolveTalk(message)
      },
      onState: (state) => {
        if (state.kind === 'broken') reason = state.reason
      },
    })
    const timer = setTimeout(() => {
      finish()
      const message = `cannot reach the hub ${formatHostEndpoint(hub)}: ${reason}`
      const hint =
        'check that it runs (overlay hub status, on its machine) and that this machine reaches its port'
      reject(new AppError(ERROR_CODES.timeout, message, { hint }))
    }, TIMEOUT_MS)
    const finish = (): void => {
      clearTimeout(timer)
      link.stop()
    }
    link.start()
  })
}

function refused({ code, message, hint, nowS }: Refusal): AppError {
  const difference = code === 'malformed' ? describeClockDifference(wallNowMs(), nowS) : ''
  if (difference === '')
    return new AppError(ERROR_CODES.usage, `the hub refuses: ${message} (${code})`, { hint })
  return new AppError(ERROR_CODES.usage, `the hub refuses: ${difference}`, {
    hint: `${CLOCK_HINT}; then join again`,
  })
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 })
  } catch (error) {
    throw toPlatformError(error, `cannot make ${path}`, 'run as root, for example with sudo')
  }
}

function writeSecret(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    throw toPlatformError(error, `cannot write ${path}`, 'run as root, for example with sudo')
  }
}

/** Where the file of a network goes if nobody says otherwise. */
export function defaultFile(network: string): string {
  return join('/etc/overlay', `${network.slice(0, 15)}${SUFFIX}`)
}
