/** Answers of the UAPI: the state of a device, and errno lines. See uapi-request.ts. */

import { formatEndpoint } from '../net/endpoint.js'
import { formatPrefix } from '../net/prefix.js'
import type { DeviceSnapshot, PeerSnapshot } from '../wireguard/configuration.js'
import { KEY_BYTES } from '../wireguard/constants.js'
import { formatKeyHex, keyFromBytes, type PresharedKey } from '../wireguard/keys.js'
import type { UapiOperation } from './uapi-request.js'

const NO_PRESHARED_KEY = formatKeyHex(keyFromBytes<PresharedKey>(new Uint8Array(KEY_BYTES)))

/** Holds the private and preshared keys: for the socket only. */
export function formatUapiState(snapshot: DeviceSnapshot): string {
  const lines: string[] = []
  if (snapshot.privateKey !== undefined) lines.push(`private_key=${formatKeyHex(snapshot.privateKey)}`)
  if (snapshot.listenPort !== 0) lines.push(`listen_port=${snapshot.listenPort}`)
  if (snapshot.fwmark !== 0) lines.push(`fwmark=${snapshot.fwmark}`)
  for (const peer of snapshot.peers) pushPeer(lines, peer)
  lines.push('errno=0', '', '')
  return lines.join('\n')
}

/**
 * `errno`: positive, or 0 for success. `wg` negates what a get is answered, but reads the answer to
 * a set as it stands and expects it below zero, as all implementations send it.
 */
export function formatUapiErrno(operation: UapiOperation, errno: number): string {
  return `errno=${operation === 'set' && errno !== 0 ? -errno : errno}\n\n`
}

function pushPeer(lines: string[], peer: PeerSnapshot): void {
  const { presharedKey, endpoint, lastHandshakeWallMs } = peer
  const seconds = Math.floor(lastHandshakeWallMs / 1000)
  const nanoseconds = Math.floor((lastHandshakeWallMs - 1000 * seconds) * 1e6)
  lines.push(
    `public_key=${formatKeyHex(peer.publicKey)}`,
    `preshared_key=${presharedKey === undefined ? NO_PRESHARED_KEY : formatKeyHex(presharedKey)}`,
    'protocol_version=1',
  )
  if (endpoint !== undefined) lines.push(`endpoint=${formatEndpoint(endpoint)}`)
  lines.push(
    `last_handshake_time_sec=${seconds}`,
    `last_handshake_time_nsec=${nanoseconds}`,
    `tx_bytes=${Math.floor(peer.txBytes)}`,
    `rx_bytes=${Math.floor(peer.rxBytes)}`,
    `persistent_keepalive_interval=${peer.persistentKeepaliveS}`,
  )
  for (const prefix of peer.allowedIps) lines.push(`allowed_ip=${formatPrefix(prefix)}`)
}
