/**
 * Direct TCP connections to other nodes, taken and made, for where UDP does not come through. They carry frames
 * of type 14 (frames.ts), and nothing on them says whose they are: what is sealed does.
 *
 * A connection has a number, the port in the endpoint of its path. Until its peer has answered over it, it may
 * carry probes only, has a few seconds, and gives way to newer ones.
 */

import { createServer, type Server, type Socket } from 'node:net'
import { FRAME_HEADROOM_BYTES } from '../../dataplane/contract.js'
import type { Endpoint } from '../../net/endpoint.js'
import { isDisco } from '../../paths/disco.js'
import type { IsOverlay } from '../../paths/finder-types.js'
import type { PeerId } from '../../paths/path-manager.js'
import { FrameReader } from '../../relay/frame-reader.js'
import { decodeDirect, frameDirectInPlace, type RawFrame } from '../../relay/frames.js'
import {
  type ByteStream,
  remoteEndpointOf,
  STREAM_BUFFER_BYTES,
  streamOfSocket,
} from '../../relay/io/byte-stream.js'
import { Outbox } from '../../relay/outbox.js'
import type { PublicKey } from '../../wireguard/keys.js'
import { TcpPunch } from './tcp-punch.js'

/** One below is the relay. */
const FIRST_NUMBER = 2
const LAST_NUMBER = 0xffff
const PROOF_TIMEOUT_MS = 5000
const MAX_UNPROVEN = 64

/** Whose keys may change while a connection lasts. */
export interface LinkedPeer {
  readonly peer: PeerId
  readonly publicKey: PublicKey
}

export interface TcpLinksOptions {
  readonly isOverlay: IsOverlay
  /** `messages`: the receiver's to keep and change. */
  readonly onMessages: (number: number, segmentBytes: number, messages: Uint8Array) => void
  /** Our ends as servers see them, see TcpPunch. */
  readonly onReady: (publicKey: PublicKey, own: readonly Endpoint[]) => void
  /** A connection that `dial` asked for is there. */
  readonly onDialled: (publicKey: PublicKey, number: number) => void
  /** One that was kept has ended. */
  readonly onClosed: (publicKey: PublicKey, number: number) => void
}

interface Link {
  readonly number: number
  readonly remote: Endpoint
  readonly stream: ByteStream
  readonly outbox: Outbox<Uint8Array>
  isFull: boolean
  /** Whose it is, once it is proven. */
  owner: PublicKey | undefined
  readonly timer: NodeJS.Timeout
}

export class TcpLinks {
  readonly #options: TcpLinksOptions
  readonly #links = new Map<number, Link>()
  readonly #punches = new Map<PeerId, TcpPunch>()
  #server: Server | undefined
  #nextNumber = FIRST_NUMBER
  #isStopped = false
  /** Connections that did not prove anything, messages that gave way in queues, connections inside an overlay. */
  readonly counters: { unproven: number; dropped: number; inside: number } = {
    unproven: 0,
    dropped: 0,
    inside: 0,
  }

  constructor(options: TcpLinksOptions) {
    this.#options = options
  }

  /** Takes connections on this port from now on, on none if it is 0. False if it cannot. */
  async listen(port: number): Promise<boolean> {
    this.#server?.close()
    this.#server = undefined
    if (port === 0) return false
    const server = createServer({ noDelay: true, highWaterMark: STREAM_BUFFER_BYTES }, (socket) =>
      this.#add(socket),
    )
    this.#server = server
    const isListening = await tryListen(server, port)
    if (this.#isStopped || this.#server !== server) server.close()
    return isListening
  }

  /** Begins an attempt to reach a peer; `onReady` follows. */
  async prepare({ peer, publicKey }: LinkedPeer, servers: readonly Endpoint[]): Promise<void> {
    if (this.#isStopped) return
    const punch = new TcpPunch()
    this.end(peer)
    this.#punches.set(peer, punch)
    const own = await punch.prepare(servers.filter(({ address }) => !this.#options.isOverlay(address)))
    const isCurrent = this.#punches.get(peer) === punch
    if (!this.#isStopped && isCurrent) this.#options.onReady(publicKey, own)
  }

  dial({ peer, publicKey }: LinkedPeer, endpoints: readonly Endpoint[]): void {
    const punch = this.#punches.get(peer)
    for (const to of endpoints) {
      if (this.#options.isOverlay(to.address)) continue
      punch?.dial(to, (socket) => {
        const number = this.#add(socket)
        if (number !== undefined) this.#options.onDialled(publicKey, number)
      })
    }
  }

  /** Ends the attempt. */
  end(peer: PeerId): void {
    this.#punches.get(peer)?.end()
    this.#punches.delete(peer)
  }

  /** Its peer has answered over it. */
  keep(publicKey: PublicKey, number: number): void {
    const link = this.#links.get(number)
    if (link === undefined) return
    clearTimeout(link.timer)
    link.owner = publicKey
  }

  close(number: number): void {
    this.#links.get(number)?.stream.close()
    this.#forget(number)
  }

  /** `frame`: messages behind FRAME_HEADROOM_BYTES; handed over. */
  send(number: number, frame: Uint8Array, segmentBytes: number, isControl: boolean): void {
    const link = this.#links.get(number)
    if (link === undefined) return
    const bytes = frameDirectInPlace(frame, FRAME_HEADROOM_BYTES, segmentBytes)
    if (link.isFull) this.counters.dropped += link.outbox.push(bytes, isControl)
    else link.isFull = !link.stream.write(bytes)
  }

  /** Routes are others: connections that lead into an overlay now are ended. */
  closeOverlays(): void {
    for (const { number, remote, stream, owner } of [...this.#links.values()]) {
      if (!this.#options.isOverlay(remote.address)) continue
      this.counters.inside += 1
      stream.abort()
      this.#forget(number)
      if (owner !== undefined) this.#options.onClosed(owner, number)
    }
  }

  remoteOf(number: number): Endpoint | undefined {
    return this.#links.get(number)?.remote
  }

  stop(): void {
    this.#isStopped = true
    this.#server?.close()
    for (const punch of this.#punches.values()) punch.end()
    this.#punches.clear()
    for (const { number, stream } of [...this.#links.values()]) {
      stream.abort()
      this.#forget(number)
    }
  }

  /** Gives its number; undefined if there is no room. */
  #add(socket: Socket): number | undefined {
    const number = this.#takeNumber()
    if (number === undefined || this.#isStopped) {
      socket.destroy()
      return undefined
    }
    const remote = remoteEndpointOf(socket)
    if (this.#options.isOverlay(remote.address)) {
      this.counters.inside += 1
      socket.destroy()
      return undefined
    }
    const stream = streamOfSocket(socket)
    const reader = new FrameReader()
    const timer = setTimeout(() => this.#reject(link), PROOF_TIMEOUT_MS)
    const link: Link = {
      number,
      remote,
      stream,
      outbox: new Outbox(),
      isFull: false,
      owner: undefined,
      timer,
    }
    this.#makeRoom()
    this.#links.set(number, link)
    stream.start({
      onBytes: (bytes) => reader.push(bytes, (frame) => this.#handleFrame(link, frame)),
      onDrain: () => drain(link),
      onClosed: () => this.#handleClosed(link),
    })
    return number
  }

  #handleFrame(link: Link, raw: RawFrame): void {
    if (this.#links.get(link.number) !== link) return
    const frame = decodeDirect(raw)
    const isWelcome =
      frame !== undefined &&
      (link.owner !== undefined || (isDisco(frame.messages) && frame.messages.length <= frame.segmentBytes))
    if (isWelcome) this.#options.onMessages(link.number, frame.segmentBytes, frame.messages)
    else this.#reject(link)
  }

  #handleClosed(link: Link): void {
    if (this.#links.get(link.number) !== link) return
    this.#forget(link.number)
    if (link.owner !== undefined) this.#options.onClosed(link.owner, link.number)
  }

  #reject(link: Link): void {
    this.counters.unproven += 1
    link.stream.abort()
  }

  #forget(number: number): void {
    clearTimeout(this.#links.get(number)?.timer)
    this.#links.delete(number)
  }

  #makeRoom(): void {
    const unproven = [...this.#links.values()].filter(({ owner }) => owner === undefined)
    const [oldest] = unproven
    if (unproven.length >= MAX_UNPROVEN && oldest !== undefined) this.#reject(oldest)
  }

  #takeNumber(): number | undefined {
    for (let left = LAST_NUMBER - FIRST_NUMBER; left >= 0; left--) {
      const number = this.#nextNumber
      this.#nextNumber = number === LAST_NUMBER ? FIRST_NUMBER : number + 1
      if (!this.#links.has(number)) return number
    }
    return undefined
  }
}

function drain(link: Link): void {
  link.isFull = false
  for (let next = link.outbox.shift(); next !== undefined; next = link.outbox.shift()) {
    if (link.stream.write(next)) continue
    link.isFull = true
    return
  }
}

async function tryListen(server: Server, port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const onError = (): void => resolve(false)
    server.once('error', onError)
    server.listen(port, () => {
      server.removeListener('error', onError)
      resolve(true)
    })
  })
}
