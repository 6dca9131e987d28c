/**
 * The listening end of control-channel.ts: takes the messages out of a node's WebSocket and hands them to the
 * process that decides, and back. It knows no key: what it carries is sealed.
 */

import { connect } from 'node:net'
import type { WebSocket } from 'ws'
import type { Endpoint } from '../../net/endpoint.js'
import { encodeEndpoint } from '../../net/endpoint-bytes.js'
import { ControlChannel } from './control-channel.js'

/** More than that waits in the channel: who decides sees it there, and may let the node go. */
const MAX_WAITING_BYTES: number = 256 * 1024
const CLOSE_TIMEOUT_MS = 1000

/** `path`: where the process that decides listens. The WebSocket is the bridge's from now on. */
export function bridgeControl(webSocket: WebSocket, remote: Endpoint, path: string): void {
  const socket = connect(path)
  socket.write(encodeEndpoint(remote))
  const channel = new ControlChannel(socket, Buffer.alloc(0))
  const onSent = (): void => {
    if (webSocket.bufferedAmount <= MAX_WAITING_BYTES) channel.resume()
  }
  webSocket.on('error', () => undefined) // its end follows
  webSocket.on('message', (data) => {
    if (data instanceof Buffer && !channel.send(data)) webSocket.pause()
  })
  webSocket.once('close', () => channel.close())
  channel.start({
    onMessage(message) {
      webSocket.send(message, onSent)
      if (webSocket.bufferedAmount > MAX_WAITING_BYTES) channel.pause()
    },
    onDrain: () => webSocket.resume(),
    onClosed() {
      webSocket.resume()
      webSocket.close()
      setTimeout(() => webSocket.terminate(), CLOSE_TIMEOUT_MS).unref()
    },
  })
}
