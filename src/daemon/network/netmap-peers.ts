/**
 * Netmap -> engine: each trusted node is a peer of the engine, and its path is found and kept. A peer that the file
 * names stays what the file says.
 */

import { AppError } from '../../base/errors.js'
import type { Logger } from '../../base/log.js'
import { isSuccessor, type NetmapChange, type NetmapNode } from '../../control/netmap.js'
import { formatIp, type IpAddress } from '../../net/ip.js'
import type { SocketId } from '../../net/path.js'
import type { PublicKey } from '../../wireguard/keys.js'
import type { Engine } from '../engine.js'
import { relayEndpoint } from './frame-carrier.js'
import type { PathDriver } from './path-driver.js'

export interface NetmapPeersOptions {
  readonly engine: Engine
  readonly driver: PathDriver
  /** Of the engine: relayed messages leave there. */
  readonly framePort: SocketId
  readonly isFilePeer: (publicKey: PublicKey) => boolean
  readonly log: Logger
}

export class NetmapPeers {
  readonly #options: NetmapPeersOptions
  /** By the IPv6 address, which follows from a node's identity. */
  readonly #byAddress = new Map<string, NetmapNode>()

  constructor(options: NetmapPeersOptions) {
    this.#options = options
  }

  /** `v6`: of the node in the network. */
  nodeAt(v6: IpAddress): NetmapNode | undefined {
    return this.#byAddress.get(formatIp(v6))
  }

  apply({ changed, removed }: NetmapChange): void {
    for (const node of removed) {
      this.#byAddress.delete(formatIp(node.v6.address))
      this.#removePeer(node)
    }
    for (const node of changed) {
      try {
        this.#putNode(node)
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        this.#options.log.warn('netmap.no_room', { node: node.name, reason: error.message })
      }
    }
  }

  /** They stay known: the engine alone is to forget them. */
  removePeers(nodes: readonly NetmapNode[]): void {
    for (const node of nodes) this.#removePeer(node)
  }

  #putNode(node: NetmapNode): void {
    const { engine, driver, framePort, isFilePeer } = this.#options
    const address = formatIp(node.v6.address)
    const before = this.#byAddress.get(address)
    this.#byAddress.set(address, node)
    const { tunnelKey, previousTunnelKey } = node
    const isManaged = before !== undefined && ![before.tunnelKey, tunnelKey].some(isFilePeer)
    const isKept = isManaged && isSuccessor(before, node)
    if (before !== undefined && !isKept) this.#removePeer(before)
    if (isFilePeer(tunnelKey)) return
    engine.configure({
      peers: [
        {
          publicKey: tunnelKey,
          previousKey: previousTunnelKey ?? null,
          isManaged: true,
          replaceAllowedIps: true,
          allowedIps: [{ prefix: node.v4 }, { prefix: node.v6 }],
        },
      ],
    })
    if (isKept) {
      driver.turn((manager, nowMs, effects) => {
        manager.setPeerKeys(before.tunnelKey, tunnelKey, previousTunnelKey)
        if (node.isOnline && !before.isOnline) manager.handleOnline(tunnelKey, nowMs, effects)
      })
      return
    }
    const activity = engine.activityOf(tunnelKey)
    const peer = {
      identity: node.identity,
      publicKey: tunnelKey,
      previousKey: previousTunnelKey,
      relayPath: { socket: framePort, remote: relayEndpoint(node), local: undefined },
      activity: () => activity,
    }
    driver.turn((manager, nowMs, effects) => manager.addPeer(peer, nowMs, effects))
  }

  #removePeer({ tunnelKey }: NetmapNode): void {
    const { engine, driver, isFilePeer } = this.#options
    if (isFilePeer(tunnelKey)) return
    // The peer first: nothing is sent over a socket that is about to be closed.
    engine.configure({ peers: [{ publicKey: tunnelKey, remove: true, allowedIps: [] }] })
    driver.turn((manager, _nowMs, effects) => manager.removePeer(tunnelKey, effects))
  }
}
