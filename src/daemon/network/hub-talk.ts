/** One talk with a hub, for commands: a session that ends with the answer that was waited for. */

import { randomBytes } from 'node:crypto'
import { AppError, ERROR_CODES } from '../../base/errors.js'
import { createLogger } from '../../base/log.js'
import type { OverlayConfig } from '../../config/types.js'
import type { Identity } from '../../control/identity.js'
import type { HubMessage, NodeMessage } from '../../control/messages.js'
import { signTunnelKey } from '../../control/tunnel-key.js'
import { formatHostEndpoint } from '../../net/endpoint.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import { bootNowMs, wallNowMs } from '../../platform/clock.js'
import { isProxyRefusal } from '../../platform/dial.js'
import { nodeCrypto } from '../../wireguard/crypto-node.js'
import type { PublicKey } from '../../wireguard/keys.js'
import { HubLink } from './hub-link.js'
import { validitySpan } from './key-rotation.js'
import { localPrefixes } from './own-addresses.js'

const TIMEOUT_MS = 15_000

export interface Talk {
  readonly hub: OverlayConfig['hub']
  readonly hubKeys: readonly PublicKey[]
  readonly identity: Identity
  readonly publicKey: PublicKey
  readonly keyNumber: number
  readonly proxy: HttpProxy | undefined
  readonly hello: { readonly secret?: string; readonly name?: string; readonly isNameAsked?: boolean }
  /** Called with every message. `end`: it was the answer. `stay`: an answer will come, however late. */
  readonly onMessage: (message: HubMessage) => {
    readonly next: 'end' | 'stay' | 'go on'
    readonly say?: NodeMessage
  }
}

/** What went wrong before an answer came. */
export class TalkError extends AppError {
  /** The hub may have heard the hello. */
  readonly wasConnected: boolean

  constructor(hub: OverlayConfig['hub'], reason: string, wasConnected: boolean) {
    const message = wasConnected
      ? `the hub ${formatHostEndpoint(hub)} does not answer: ${reason}`
      : `cannot reach the hub ${formatHostEndpoint(hub)}: ${reason}`
    super(ERROR_CODES.unreachable, message, {
      hint: isProxyRefusal(reason)
        ? ''
        : 'check that it runs (overlay hub status, on its machine) and that this machine reaches its port',
    })
    this.wasConnected = wasConnected
  }
}

/** Throws TalkError. */
export async function talkToHub(request: Talk): Promise<HubMessage> {
  const { hub, hubKeys, identity, publicKey, keyNumber: number, proxy, hello } = request
  let reason = 'no answer'
  let wasConnected = false
  return await new Promise<HubMessage>((resolve, reject) => {
    const link = new HubLink({
      hub,
      hubKeys: () => hubKeys,
      identity,
      proxy,
      crypto: nodeCrypto,
      random: (length) => new Uint8Array(randomBytes(length)),
      nowMs: bootNowMs,
      log: createLogger({ level: 'error', write: () => undefined, wallNowMs }),
      hello: () => ({
        tunnelKey: signTunnelKey(identity, publicKey, { number, ...validitySpan(wallNowMs()) }),
        localPrefixes: localPrefixes(''),
        ...hello,
      }),
      onMessage: (message) => {
        const { next, say } = request.onMessage(message)
        if (say !== undefined) link.send(say)
        if (next !== 'go on') clearTimeout(timer)
        if (next !== 'end') return
        link.stop()
        resolve(message)
      },
      onState: (state) => {
        if (state.kind === 'broken') {
          reason = state.reason
          if (isProxyRefusal(reason)) giveUp()
        }
        if (state.kind === 'connected') wasConnected = true
      },
    })
    const giveUp = (): void => {
      clearTimeout(timer)
      link.stop()
      reject(new TalkError(hub, reason, wasConnected))
    }
    const timer = setTimeout(giveUp, TIMEOUT_MS)
    link.start()
  })
}
