/** The pair of UDP sockets of a plain device: v4 and v6 on one port, or the one family there is. */

import { PlatformError } from '../base/errors.js'
import type { DataPlane } from '../dataplane/contract.js'
import type { SocketId } from '../net/path.js'
import type { OuterSockets } from '../wireguard/peer-path.js'

export interface OpenSockets extends OuterSockets {
  readonly port: number
}

/** A free port of v4 may be taken for v6; so many times another one is tried. */
const PORT_ATTEMPTS = 10

/** `port` 0 lets the kernel choose. Throws PlatformError, for instance EADDRINUSE. */
export function openSockets(plane: DataPlane, port: number, mark: number): OpenSockets {
  for (let attempt = 1; ; attempt++) {
    const v4 = tryOpen(plane, { family: 4, port, mark })
    try {
      const v6 = tryOpen(plane, { family: 6, port: v4?.port ?? port, mark })
      const open = v4 ?? v6
      if (open !== undefined) return { v4: v4?.socket, v6: v6?.socket, port: open.port }
      throw new PlatformError('cannot open a UDP socket: neither IPv4 nor IPv6 is available', {
        errno: 'EAFNOSUPPORT',
        syscall: 'socket',
      })
    } catch (error) {
      if (v4 !== undefined) plane.closeSocket(v4.socket)
      const isTaken = error instanceof PlatformError && error.errno === 'EADDRINUSE'
      if (port !== 0 || !isTaken || attempt >= PORT_ATTEMPTS) throw error
    }
  }
}

/**
 * As before, after they were closed: a port that the kernel chose stays, as in the kernel's WireGuard, unless somebody
 * else has taken it meanwhile. `lastPort`: 0 if there was none.
 */
export function reopenSockets(plane: DataPlane, port: number, lastPort: number, mark: number): OpenSockets {
  if (port !== 0 || lastPort === 0) return openSockets(plane, port, mark)
  try {
    return openSockets(plane, lastPort, mark)
  } catch (error) {
    if (error instanceof PlatformError && error.errno === 'EADDRINUSE') return openSockets(plane, 0, mark)
    throw error
  }
}

export function closeSockets(plane: DataPlane, sockets: OuterSockets): void {
  if (sockets.v4 !== undefined) plane.closeSocket(sockets.v4)
  if (sockets.v6 !== undefined) plane.closeSocket(sockets.v6)
}

/** Undefined if the machine does not speak this family. */
function tryOpen(
  plane: DataPlane,
  options: { family: 4 | 6; port: number; mark: number },
): { socket: SocketId; port: number } | undefined {
  try {
    return plane.openSocket(options)
  } catch (error) {
    const isMissing =
      error instanceof PlatformError && ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(error.errno)
    if (isMissing) return undefined
    throw error
  }
}
