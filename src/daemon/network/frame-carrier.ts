/**
 * What carries messages that go over no socket of the engine: a TCP connection to the peer, a relay, or where
 * there is none the hub. The engine knows these ways by the endpoints of one frame port.
 */

import { formatBase64, tryParseBase64 } from '../../base/bytes.js'
import type { NetmapNode } from '../../control/netmap.js'
import { FRAME_HEADROOM_BYTES } from '../../dataplane/contract.js'
import type { Endpoint } from '../../net/endpoint.js'
import type { IpAddress } from '../../net/ip.js'
import type { SocketId } from '../../net/path.js'
import type { Engine, PathHandlers } from '../engine.js'
import type { HubLink } from './hub-link.js'
import type { RelayPool } from './relay-pool.js'
import type { TcpLinks } from './tcp-links.js'

/** Ports of the remote endpoints of paths over hub and relay; others are numbers of TCP connections. */
const HUB_PORT = 0
const RELAY_PORT = 1
/** A node that says nothing for so long may be held up by a connection that is: what is small goes both ways then. */
const PATIENCE_MS = 700

export interface FrameCarrierOptions {
  readonly engine: Pick<Engine, 'deliver'>
  /** Of the engine. */
  readonly framePort: SocketId
  readonly tcp: Pick<TcpLinks, 'send'>
  readonly relays: Pick<RelayPool, 'send' | 'keep'>
  readonly hub: Pick<HubLink, 'send'>
  readonly nodeAt: (v6: IpAddress) => NetmapNode | undefined
  /** `identity`: base64. */
  readonly nodeOf: (identity: string) => NetmapNode | undefined
  readonly nowMs: () => number
}

export class FrameCarrier {
  readonly #options: FrameCarrierOptions
  #unknownSenders = 0
  /** Since when nothing that was sent over a relay is answered. */
  readonly #unansweredMs = new WeakMap<NetmapNode, number>()

  constructor(options: FrameCarrierOptions) {
    this.#options = options
  }

  /** Frames that came from nobody in the netmap. */
  get unknownSenders(): number {
    return this.#unknownSenders
  }

  /** From the engine. */
  send({ remote, frame, segmentBytes, isControl }: Parameters<PathHandlers['handleFrames']>[0]): void {
    const { tcp, relays, nodeAt } = this.#options
    if (remote.port !== RELAY_PORT && remote.port !== HUB_PORT) {
      tcp.send(remote.port, frame, segmentBytes, isControl)
      return
    }
    const node = nodeAt(remote.address)
    if (node === undefined) return
    const to = { identity: node.identity, relayRtts: node.relayRtts }
    // What came by the hub is answered there: the peer may be on no relay yet, as who sends it is on none.
    if (isControl && remote.port === HUB_PORT && this.#signal(node, frame)) return
    const isStale = isControl && this.#isStale(node)
    if (relays.send(frame, to, segmentBytes, isControl)) {
      if (isStale && node.isOnline) this.#signal(node, frame)
      return
    }
    if (!isControl) return
    // Without a relay the hub carries what is small and rare.
    if (!this.#signal(node, frame)) relays.keep(frame, to, segmentBytes)
  }

  /** Something small is sent to it, and what went before is unanswered. */
  #isStale(node: NetmapNode): boolean {
    const nowMs = this.#options.nowMs()
    const sinceMs = this.#unansweredMs.get(node) ?? nowMs
    this.#unansweredMs.set(node, sinceMs)
    return nowMs - sinceMs >= PATIENCE_MS
  }

  /** False if there is no session with the hub. */
  #signal({ identity }: NetmapNode, frame: Uint8Array): boolean {
    const body = formatBase64(frame.subarray(FRAME_HEADROOM_BYTES))
    return this.#options.hub.send({ type: 'signal', to: identity, body })
  }

  /** To the engine: messages that a relay brought. `sender`: an identity, base64. */
  deliver(sender: string, segmentBytes: number, messages: Uint8Array): void {
    this.#deliver(sender, RELAY_PORT, segmentBytes, messages)
  }

  /** One that the hub brought. `body`: base64. */
  deliverSignal(sender: string, body: string): void {
    const message = tryParseBase64(body)
    if (message !== undefined) this.#deliver(sender, HUB_PORT, 0, message)
  }

  #deliver(sender: string, port: number, segmentBytes: number, messages: Uint8Array): void {
    const { engine, framePort, nodeOf } = this.#options
    const node = nodeOf(sender)
    if (node === undefined) {
      this.#unknownSenders += 1
      return
    }
    this.#unansweredMs.delete(node)
    engine.deliver(framePort, { ...relayEndpoint(node), port }, messages, segmentBytes)
  }
}

/** By which the engine knows the way over the relay to a node. */
export function relayEndpoint(node: NetmapNode): Endpoint {
  return { address: node.v6.address, port: RELAY_PORT, scopeId: 0 }
}
