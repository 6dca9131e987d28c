/** Enrolment of this machine in a network, and its end. */

import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, resolve } from 'node:path'
import { AppError, ERROR_CODES, type ErrorCode, UsageError } from '../../base/errors.js'
import type { OverlayConfig } from '../../config/types.js'
import type { Pending, Refusal, Welcome } from '../../control/messages.js'
import { DNS_LABEL } from '../../net/dns-label.js'
import { wallNowMs } from '../../platform/clock.js'
import { nodeCrypto } from '../../wireguard/crypto-node.js'
import { CLOCK_HINT, describeClockDifference } from '../clock-difference.js'
import { faultOf, requireConfirmed } from './assigned-addresses.js'
import { TalkError, talkToHub } from './hub-talk.js'
import { readIdentityFile } from './identity-file.js'
import {
  hubKeysOf,
  interfaceOf,
  type JoinFiles,
  openJoinFiles,
  openStore,
  pathsBeside,
  type TunnelFileRequest,
  writeTunnelFile,
} from './join-files.js'
import { keyNumberOf, previousKeyFile } from './key-files.js'
import { openProxy } from './open-proxy.js'

const MAX_LABEL = 63
/** After these a node is none any more, as far as its hub is concerned. */
const FAREWELLS: ReadonlySet<Refusal['code']> = new Set(['removed', 'rejected', 'unknown'])

/** `file`, of which there is none yet, or one of the same network. `range`: as a person confirmed it. */
export interface JoinRequest extends TunnelFileRequest {
  /** Undefined for one made from the machine's name. */
  readonly name: string | undefined
  /** The token's hub key is believed where the file holds another. */
  readonly isNewKeyTrusted: boolean
  /** Until the hub can take the node, and it is approved or rejected, however long that takes. */
  readonly isWaiting: boolean
  /** With every word of the hub that the node waits for approval; its files are written by then. */
  readonly onPending: (result: JoinResult) => void
  /** Where it is waited: the hub cannot take anybody now, and is asked again. */
  readonly onBusy: (refusal: Refusal) => void
}

export interface JoinResult {
  readonly file: string
  readonly interface: string
  readonly network: string
  readonly name: string
  readonly addresses: readonly string[]
  readonly state: 'approved' | 'pending'
  /** What a person has to do; empty if nothing. */
  readonly hint: string
}

/**
 * Can be repeated: with the files of an earlier join this machine is the same node. Throws AppError; then nothing
 * is left behind but keys that the hub may know already, and what was there before.
 */
export async function joinNetwork(request: JoinRequest): Promise<JoinResult> {
  const { file, token, range } = request
  if (request.name !== undefined && !DNS_LABEL.test(request.name)) {
    throw new UsageError(`--name cannot be "${request.name}"`, {
      hint: 'use up to 63 lower case letters, digits and dashes',
    })
  }
  requireConfirmed(token.range, range)
  const files = openJoinFiles(file, token, request.isNewKeyTrusted)
  try {
    return await enrol(request, files)
  } catch (error) {
    if (error instanceof TalkError && error.wasConnected) {
      throw new AppError(error.code, error.message, {
        hint: `type the same once more: the keys beside ${file} are kept, and the hub may know them already`,
        cause: error,
      })
    }
    files.discard()
    throw error
  }
}

async function enrol(request: JoinRequest, files: JoinFiles): Promise<JoinResult> {
  const { token, file, name, range, proxy, proxyCa, isWaiting } = request
  let outcome: JoinResult | AppError | undefined
  await talkToHub({
    hub: token.hub,
    hubKeys: [token.hubKey],
    identity: files.identity,
    publicKey: files.publicKey,
    keyNumber: files.keyNumber,
    proxy: openProxy({ proxy, proxyCa }, dirname(file)),
    hello: { secret: token.secret, ...nameOf(name) },
    onMessage: (message) => {
      if (message.type === 'refused' && message.code === 'busy' && isWaiting) {
        request.onBusy(message)
        return { next: 'stay' }
      }
      if (message.type === 'refused') outcome = refused(message)
      if (message.type !== 'welcome' && message.type !== 'pending') {
        return { next: outcome === undefined ? 'go on' : 'end' }
      }
      outcome = faultOf(message, files.identity.publicKey, range)
      if (outcome !== undefined) return { next: 'end', say: { type: 'leave' } }
      outcome = settle(request, files, message)
      if (outcome instanceof AppError || message.type === 'welcome' || !isWaiting) return { next: 'end' }
      request.onPending(outcome)
      return { next: 'stay' }
    },
  })
  if (outcome instanceof AppError) throw outcome
  if (outcome === undefined) throw new RangeError('the talk ended without an answer')
  return outcome
}

/** Before a person is told. */
function settle(request: JoinRequest, files: JoinFiles, message: Welcome | Pending): JoinResult | AppError {
  const { file } = request
  const { network, name, v4, v6 } = message
  try {
    writeTunnelFile(request, message, files.config)
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  files.keep()
  const place = { file, interface: interfaceOf(file), network, name, addresses: [v4, v6] }
  if (message.type === 'welcome') return { ...place, state: 'approved', hint: '' }
  return { ...place, state: 'pending', hint: message.hint }
}

/** What a person asks for is taken or refused; the machine's own name is a wish only. */
function nameOf(name: string | undefined): { name?: string; isNameAsked?: boolean } {
  if (name !== undefined) return { name, isNameAsked: true }
  const wish = labelOf(hostname())
  return wish === '' ? {} : { name: wish }
}

/** What of a host name can be the name of a node: its first label, cut to fit. Empty if nothing. */
export function labelOf(host: string): string {
  const [first = ''] = host.toLowerCase().split('.')
  const label = first
    .replaceAll(/[^a-z0-9-]/g, '-')
    .replace(/^-+/, '')
    .slice(0, MAX_LABEL)
    .replace(/-+$/, '')
  return DNS_LABEL.test(label) ? label : ''
}

/** Tells the hub, then removes what join and the tunnel made. `isForced`: also if the hub does not hear it. */
export async function leaveNetwork(file: string, overlay: OverlayConfig, isForced: boolean): Promise<void> {
  const identityFile = resolve(dirname(file), overlay.identityFile)
  try {
    const identity = readIdentityFile(identityFile)
    const ephemeral = nodeCrypto.dhPrivateKey(new Uint8Array(randomBytes(32)))
    const answer = await talkToHub({
      hub: overlay.hub,
      hubKeys: hubKeysOf(file, overlay),
      identity,
      publicKey: ephemeral.publicKey,
      keyNumber: keyNumberOf(wallNowMs()),
      proxy: openProxy(overlay, dirname(file)),
      hello: {},
      onMessage: ({ type }) => {
        if (type === 'refused') return { next: 'end' }
        return {
          next: 'go on',
          ...((type === 'welcome' || type === 'pending') && { say: { type: 'leave' } }),
        }
      },
    })
    // Anything else says that it is a node still.
    if (answer.type === 'refused' && !FAREWELLS.has(answer.code)) throw refused(answer)
  } catch (error) {
    if (!isForced) throw error
  }
  const { key } = pathsBeside(file)
  for (const path of [file, key, previousKeyFile(key), identityFile]) rmSync(path, { force: true })
  openStore(file).delete()
}

/** All others are ERROR_CODES.refused. */
const CODES_OF_REFUSALS: Partial<Readonly<Record<Refusal['code'], ErrorCode>>> = {
  token: ERROR_CODES.token,
  name: ERROR_CODES.nameTaken,
  rateLimited: ERROR_CODES.busy,
  elsewhere: ERROR_CODES.conflict,
}

function refused({ code, message, hint, nowS }: Refusal): AppError {
  if (code === 'busy') {
    return new AppError(ERROR_CODES.busy, `the hub refuses for now: ${message}`, {
      hint: 'type the same again later: nothing was used up; overlay join waits by itself with --wait',
    })
  }
  const difference = code === 'malformed' ? describeClockDifference(wallNowMs(), nowS) : ''
  if (difference === '')
    return new AppError(
      CODES_OF_REFUSALS[code] ?? ERROR_CODES.refused,
      `the hub refuses: ${message} (${code})`,
      {
        hint,
      },
    )
  return new AppError(ERROR_CODES.refused, `the hub refuses: ${difference}`, {
    hint: `${CLOCK_HINT}; then join again`,
  })
}
