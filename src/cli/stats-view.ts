/** `overlay status --stats` as text for people: what was carried, and why what was not. Pure. */

import type { InterfaceStatus, StatusReport } from '../daemon/local-api-schema.js'
import type { DropReason } from '../dataplane/drop-reasons.js'
import type { HandshakeDropReason } from '../wireguard/drops.js'
import { formatBytes } from './units.js'

const MEANINGS: Readonly<Record<DropReason | HandshakeDropReason, string>> = {
  malformedDatagram: 'in: shorter than any transport message',
  unknownReceiver: 'in: for a keypair that is not, or no longer, ours',
  keypairExpired: 'under a keypair that is too old',
  authenticationFailed: 'in: forged or damaged on its way',
  replayed: 'in: seen before, or far too late',
  malformedPacket: 'neither an IPv4 nor an IPv6 packet',
  sourceNotAllowed: 'in: the source is not among the AllowedIPs of the peer that sent it',
  noAllowedIp: 'out: the destination is among no AllowedIPs',
  noPath: 'out: the peer has no endpoint yet',
  stagedOverflow: 'out: too many waited for a handshake; the oldest gave way',
  handshakeFailed: 'out: the handshake they waited for did not succeed',
  innerWriteFailed: 'in: the interface did not take it',
  outerSendFailed: 'out: the UDP socket did not take it',
  frameOverflow: 'out: for a relay: too many waited; the oldest gave way',
  routingLoop:
    'out: our own datagrams to peers, which the routes of this machine led back into the interface',
  controlOverflow: 'in: more handshake messages than can wait',
  handshakeMalformed: 'in: no WireGuard message',
  handshakeMac1Invalid: 'in: from somebody who does not know our public key',
  handshakeQueueFull: 'in: more handshake messages than can wait',
  handshakeCookieRequired: 'in: under load, answered with a cookie',
  handshakeRateLimited: 'in: under load, too many from one source',
  handshakeUnknownPeer: 'in: from a key that is no peer here',
  handshakeReplayed:
    'in: an initiation no later than one before: played again, or the clock of the peer went back',
  handshakeFlood: 'in: initiations of one peer in too quick succession',
  handshakeUnknownIndex: 'in: an answer to nothing we asked',
  handshakeInvalid: 'in: an answer that did not authenticate',
  handshakeCookieInvalid: 'in: a cookie that did not authenticate',
}

/** Of a node's part in a network: src/daemon/network/membership.ts. */
const NETWORK_MEANINGS: Readonly<Record<string, string>> = {
  probeUnknown: 'probes of nobody we know',
  probeReplayed: 'calls played again',
  probeMalformed: 'probes that are not authentic',
  relayUnsent: 'messages for which no relay was connected',
  relayRefused: 'frames of a relay that were not taken: unknown senders, junk, too many or too strange',
  relayOverflow: 'messages that gave way because a relay took them too slowly',
  probeInside: 'probes from inside an overlay, where no path may lead',
  tcpInside: 'TCP connections inside an overlay, where no path may lead',
  tcpUnproven: 'TCP connections that proved nothing, or gave way to newer ones',
  tcpOverflow: 'messages that gave way because a TCP connection took them too slowly',
  relayUnknownSender: 'messages over a relay from nobody we know',
}

const MEANINGS_BY_NAME: ReadonlyMap<string, string> = new Map(
  Object.entries({ ...MEANINGS, ...NETWORK_MEANINGS }),
)

export function formatStats(report: StatusReport): string {
  const blocks = [
    ...report.interfaces.map(formatInterface),
    ...report.crashed.map(({ interface: name, hint }) => `${name}: its daemon died: ${hint}`),
    ...report.unresponsive.map(({ interface: name, message }) => `${name}: ${message}`),
  ]
  return blocks.length === 0 ? 'no interface is up' : blocks.join('\n\n')
}

function formatInterface(status: InterfaceStatus): string {
  const { rxBytes, rxMessages, txBytes, txMessages } = status.carried
  const drops = Object.entries(status.drops).sort(([, a], [, b]) => b - a)
  return [
    status.interface,
    `  data plane   ${status.dataPlane ?? 'not there yet'}`,
    `  received     ${rxMessages} messages, ${formatBytes(rxBytes)}`,
    `  sent         ${txMessages} messages, ${formatBytes(txBytes)}`,
    drops.length === 0 ? '  dropped      nothing' : '  dropped',
    ...drops.map(([reason, count]) => formatDrop(reason, count)),
  ].join('\n')
}

function formatDrop(reason: string, count: number): string {
  const meaning = MEANINGS_BY_NAME.get(reason) ?? ''
  return `    ${String(count).padStart(10)} ${reason.padEnd(24)} ${meaning}`.trimEnd()
}
