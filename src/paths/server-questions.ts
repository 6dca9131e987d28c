/**
 * What sockets of a search ask a STUN server: which port each has outside, or whether it got a session at all.
 * Sans-IO. An answer is taken only from the server that was asked, and under the id of its question.
 */

import { formatHex } from '../base/bytes.js'
import { type Endpoint, equalEndpoint } from '../net/endpoint.js'
import type { Path } from '../net/path.js'
import type { RandomBytes } from '../wireguard/crypto.js'
import {
  decodeStun,
  encodeBindingRequest,
  isBinding,
  isStun,
  mappedEndpoint,
  TRANSACTION_ID_BYTES,
} from './stun.js'

interface Question {
  readonly kind: 'send'
  readonly path: Path
  readonly bytes: Uint8Array
}

export class ServerQuestions<Place> {
  readonly #server: Endpoint
  readonly #random: RandomBytes
  readonly #open = new Map<string, Place>()

  constructor(server: Endpoint, random: RandomBytes) {
    this.#server = server
    this.#random = random
  }

  /** `place`: what the question is for. It may be asked again: each answer counts. */
  ask(place: Place, socket: number): Question {
    const transactionId = this.#random(TRANSACTION_ID_BYTES)
    this.#open.set(formatHex(transactionId), place)
    const path: Path = { socket, remote: this.#server, local: undefined }
    return { kind: 'send', path, bytes: encodeBindingRequest(transactionId) }
  }

  /** Undefined if it is no answer. `port`: of the socket, outside. */
  takeAnswer(path: Path, bytes: Uint8Array): { readonly place: Place; readonly port: number } | undefined {
    const message = isStun(bytes) ? decodeStun(bytes) : undefined
    if (message === undefined || message.class !== 'success' || !isBinding(message)) return undefined
    if (!equalEndpoint(path.remote, this.#server)) return undefined
    const id = formatHex(message.transactionId)
    const place = this.#open.get(id)
    const port = mappedEndpoint(message)?.port
    if (place === undefined || port === undefined) return undefined
    this.#open.delete(id)
    return { place, port }
  }

  /** Answers to what was asked until now are none any more. */
  clear(): void {
    this.#open.clear()
  }
}
