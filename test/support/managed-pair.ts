/** Two devices of a world that are managed peers of each other: somebody else says where each is reached. */

import { tryParseIp } from '../../src/net/ip.js'
import type { Path } from '../../src/net/path.js'
import type { Node, World } from './world.js'

const PORT = 51_820

/** `peer` is managed: it is reached where it is told, not where it was heard. Returns that path. */
export function manage(node: Node, peer: Node): Path | undefined {
  let path: Path | undefined
  const address = tryParseIp(peer.visible)
  node.engine.setPathHandlers({
    handleProbe: () => undefined,
    handleFrames: () => undefined,
    handleWanted: () => undefined,
    handleSockets: (sockets) => {
      if (sockets?.v4 === undefined || address === undefined) return
      path = { socket: sockets.v4, remote: { address, port: PORT, scopeId: 0 }, local: undefined }
    },
  })
  const allowedIps = [{ prefix: peer.innerPrefix }]
  node.engine.configure({ peers: [{ publicKey: peer.publicKey, isManaged: true, allowedIps }] })
  node.engine.setPeerPath(peer.publicKey, path)
  return path
}

export function managedPair(world: World): readonly [Node, Node] {
  const pair = [world.addNode('a'), world.addNode('b')] as const
  manage(pair[0], pair[1])
  manage(pair[1], pair[0])
  return pair
}
