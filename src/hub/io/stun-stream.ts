/**
 * STUN over TCP (RFC 8489 section 6.2.2) on the one port: tells a node as whom its TCP connections are seen,
 * which is what two nodes need to know to connect to each other at the same time.
 */

import type { Socket } from 'node:net'
import { ShareTable } from '../../base/share-table.js'
import type { Endpoint } from '../../net/endpoint.js'
import { type SourceKey, sourceOf } from '../../net/source.js'
import { answerStun } from '../stun-answer.js'

const HEADER_BYTES = 20
/** No question that is answered is longer. */
const MAX_BYTES = 548
/** Whoever asks keeps the connection for as long as he needs his NAT to remember it. */
const LIFETIME_MS = 10_000
const MAX_ANSWERS = 4
/** Of all sources. */
const MAX_STREAMS = 1024
/** Where the question came in does not matter: nothing else could answer it. */
const HERE: Endpoint = { address: { family: 4, bytes: new Uint8Array(4) }, port: 0, scopeId: 0 }

export class StunStreams {
  readonly #table = new ShareTable<SourceKey, Socket>(MAX_STREAMS)
  readonly #lifetimeMs: number
  #crowdedOut = 0

  constructor(lifetimeMs: number = LIFETIME_MS) {
    this.#lifetimeMs = lifetimeMs
  }

  /** Gave way to newer ones. */
  get crowdedOut(): number {
    return this.#crowdedOut
  }

  /** The socket is its own from now on. */
  serve(socket: Socket, remote: Endpoint): void {
    let waiting: Uint8Array = new Uint8Array(0)
    let answers = 0
    const timer = setTimeout(() => socket.destroy(), this.#lifetimeMs)
    socket.once('close', () => {
      clearTimeout(timer)
      this.#table.delete(socket)
    })
    const givesWay = this.#table.add(sourceOf(remote.address), socket)
    if (givesWay !== undefined) {
      this.#crowdedOut += 1
      givesWay.destroy()
    }
    socket.on('data', (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk])
      while (!socket.destroyed) {
        const lengthBytes = HEADER_BYTES + (((waiting[2] ?? 0) << 8) | (waiting[3] ?? 0))
        if (lengthBytes > MAX_BYTES) socket.destroy()
        if (waiting.length < HEADER_BYTES || waiting.length < lengthBytes) return
        const question = waiting.subarray(0, lengthBytes)
        waiting = waiting.subarray(lengthBytes)
        answers += 1
        const answer = answerStun(question, remote, HERE, [HERE])
        if (answer === undefined || answers > MAX_ANSWERS) socket.destroy()
        else socket.write(answer.bytes)
      }
    })
  }
}
