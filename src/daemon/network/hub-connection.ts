/** One connection to a hub, in one of the ways that firewalls let through: a WebSocket, and a session inside it. */

import { WebSocket } from 'ws'
import { NoiseInitiator, type NoiseSession } from '../../control/noise-nk.js'
import { formatHostEndpoint, type HostEndpoint } from '../../net/endpoint.js'
import type { HttpProxy } from '../../net/http-proxy.js'
import type { AddressCheck } from '../../platform/checked-lookup.js'
import { dial, givenUp } from '../../platform/dial.js'
import type { Crypto, RandomBytes } from '../../wireguard/crypto.js'
import type { PublicKey } from '../../wireguard/keys.js'

const MAX_PAYLOAD_BYTES: number = 128 * 1024

/** A hub lets whoever knows no key of it go without a word. */
export const UNPROVEN = 'the hub ended the connection before it proved its key'

/** Which hub, and by what key it is known. */
export interface HubAccess {
  readonly hub: HostEndpoint
  /** Undefined if none is known. */
  readonly hubKey: PublicKey | undefined
  /** A hub is not reached over a network of this machine, least of all over its own. */
  readonly isAllowed?: AddressCheck
  readonly crypto: Crypto
  readonly random: RandomBytes
}

export interface HubConnection {
  readonly socket: WebSocket
  readonly session: NoiseSession
  readonly localAddress: string
}

/** Connected, and whoever answers holds the hub's key. */
export async function connectHub(
  { hub, hubKey, isAllowed, crypto, random }: HubAccess,
  way: { readonly isTls: boolean; readonly proxy: HttpProxy | undefined; readonly signal: AbortSignal },
): Promise<HubConnection> {
  const { signal } = way
  const raw = await dial({
    to: hub,
    isTls: way.isTls,
    proxy: way.proxy,
    ...(isAllowed && { isAllowed }),
    signal,
  })
  const socket = new WebSocket(`ws://${formatHostEndpoint(hub)}/control`, {
    createConnection: () => raw,
    perMessageDeflate: false,
    maxPayload: MAX_PAYLOAD_BYTES,
  })
  let wasOpen = false
  const initiator =
    hubKey && NoiseInitiator.tryCreate({ crypto, random, prologue: 'overlay control v1' }, hubKey)
  return await new Promise<HubConnection>((resolve, reject) => {
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', onAbort)
      socket.terminate()
      reject(error)
    }
    const onAbort = (): void => fail(givenUp())
    signal.addEventListener('abort', onAbort)
    socket.on('error', fail)
    socket.once('close', () => fail(new Error(wasOpen ? UNPROVEN : 'the connection was closed')))
    socket.once('open', () => {
      wasOpen = true
      if (initiator !== undefined) socket.send(initiator.message)
      else fail(new Error('the hub key in the file is no key'))
    })
    socket.once('message', (data) => {
      const session = data instanceof Buffer ? initiator?.finish(data) : undefined
      signal.removeEventListener('abort', onAbort)
      if (session !== undefined) resolve({ socket, session, localAddress: raw.localAddress ?? '' })
      else fail(new Error('whoever answers does not hold the key of the hub'))
    })
    if (signal.aborted) onAbort()
  })
}
