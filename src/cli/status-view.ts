/**
 * `overlay status` as text for people: a line for each node, or all there is to say of it. Pure; colour only if
 * asked for.
 */

import type {
  InterfaceStatus,
  NetworkStatus,
  PathStatus,
  PeerStatus,
  StatusReport,
} from '../daemon/local-api-schema.js'
import { formatShortKey, type PublicKey, tryParseKeyBase64 } from '../wireguard/keys.js'
import { formatAge, formatBytes, formatTable } from './units.js'

const COLOURS = { bold: 1, red: 31, green: 32, yellow: 33, dim: 2 } as const
type Style = keyof typeof COLOURS
type Paint = (style: Style, text: string) => string

const STATE_STYLES: Readonly<Record<PeerStatus['state'], Style>> = {
  connected: 'green',
  handshaking: 'yellow',
  unreachable: 'red',
  idle: 'dim',
}

export interface ViewOptions {
  readonly hasColour: boolean
  /** All there is to say of each node. */
  readonly isVerbose: boolean
}

export function formatStatus(report: StatusReport, { hasColour, isVerbose }: ViewOptions): string {
  const paint = painter(hasColour)
  const blocks = report.interfaces.map((status) => formatInterface(status, paint, isVerbose))
  for (const { interface: name, hint } of report.crashed) {
    blocks.push(`${paint('bold', name)}  ${paint('red', 'its daemon died')}: ${hint}`)
  }
  for (const { interface: name, message } of report.unresponsive) {
    blocks.push(`${paint('bold', name)}  ${paint('red', message)}`)
  }
  return blocks.length === 0 ? 'no interface is up' : blocks.join('\n\n')
}

/** All there is to say of one. */
export function formatNode(peer: PeerStatus, hasColour: boolean): string {
  return formatPeer(peer, painter(hasColour))
}

function painter(hasColour: boolean): Paint {
  return hasColour ? (style, text) => `\u001b[${COLOURS[style]}m${text}\u001b[0m` : (_style, text) => text
}

function formatInterface(status: InterfaceStatus, paint: Paint, isVerbose: boolean): string {
  const state = status.state === 'running' ? (status.isUp ? 'up' : 'link is down') : status.state
  const style: Style = state === 'up' ? 'green' : 'yellow'
  const source = status.mode === 'device' ? 'bare device' : (status.configFile ?? '')
  const rows: [string, string][] = [
    ['public key', status.publicKey ?? 'none: no private key is set'],
    ['listen port', String(status.listenPort)],
    ['addresses', list(status.addresses)],
    ['MTU', String(status.mtu)],
    ...(status.networkNamespace === null ? [] : [['namespace', status.networkNamespace] as [string, string]]),
    ...status.faults.map((fault): [string, string] => ['warning', fault]),
  ]
  if (status.network !== null) rows.push(...networkRows(status.network))
  const drops = Object.entries(status.drops).map(([reason, count]) => `${count} ${inWords(reason)}`)
  if (drops.length > 0) rows.push(['dropped', drops.join(', ')])
  const head = `${paint('bold', status.interface)}  ${paint(style, state)}  ${paint('dim', source)}`
  const own = `${head.trimEnd()}\n${formatRows(rows, '  ')}`
  if (isVerbose) return [own, ...status.peers.map((peer) => formatPeer(peer, paint))].join('\n\n')
  return status.peers.length === 0 ? own : `${own}\n\n${formatPeerLines(status.peers, paint)}`
}

/** Name, first address, state, round trip, traffic, and what is wrong. */
function formatPeerLines(peers: readonly PeerStatus[], paint: Paint): string {
  const rows = peers.map((peer) => {
    const { path, rxBytes, txBytes } = peer
    const rtt = path?.rttMs == null || peer.state !== 'connected' ? '' : `${path.rttMs} ms`
    const traffic = `${formatBytes(rxBytes)} in, ${formatBytes(txBytes)} out`
    const address = peer.allowedIps[0]?.replace(/\/(32|128)$/, '') ?? ''
    return [peer.name ?? peer.publicKey, address, stateOf(peer), rtt, traffic, remarkOf(peer)]
  })
  const lines = formatTable(rows).split('\n')
  // Colour comes last: its codes have no width.
  return lines
    .map((line, i) => {
      const peer = peers[i] as PeerStatus
      const state = stateOf(peer)
      return `  ${line.replace(`  ${state}`, `  ${paint(STATE_STYLES[peer.state], state)}`)}`
    })
    .join('\n')
}

function stateOf({ path, state }: PeerStatus): string {
  if (state === 'connected') return path?.kind ?? 'direct'
  if (path !== null && !path.isOnline) return 'offline'
  return { handshaking: 'connecting', unreachable: 'no answer', idle: 'idle' }[state]
}

/** What a person has to know beside the state. */
function remarkOf({ endpoint, endpointFault, path, summary, state }: PeerStatus): string {
  if (endpointFault !== '') return endpointFault
  if (state !== 'connected' && summary.includes('clock')) return summary
  return path === null && endpoint === null ? 'no endpoint known' : ''
}

function networkRows(network: NetworkStatus): [string, string][] {
  const { name, node, hub, hubDetail, removedAt, relays, seenAs, faults, waiting } = network
  if (removedAt !== null) return [['network', hubDetail]]
  const rows: [string, string][] = [
    ['network', `${node} in ${name}`],
    [
      'hub',
      hub === 'connected' ? `connected by ${hubDetail}` : `${hub}${hubDetail === '' ? '' : `: ${hubDetail}`}`,
    ],
  ]
  for (const { host, port, isConnected, isHome, way, rttMs, limitMbitS, overLimit, fault } of relays) {
    const reach = isConnected
      ? `connected by ${way}${rttMs === null ? '' : `, ${rttMs} ms`}`
      : `not connected: ${fault}`
    const limit = limitMbitS === null ? '' : ` of ${limitMbitS} Mbit/s`
    const over = overLimit === 0 ? '' : `, ${overLimit} messages over its limit${limit} dropped`
    rows.push(['relay', `${host}:${port} ${reach}${isHome ? ', home' : ''}${over}`])
  }
  if (seenAs.length > 0) rows.push(['seen as', list(seenAs)])
  if (waiting.length > 0) rows.push(['asks', `${list(waiting)}; see: overlay trust`])
  for (const fault of faults) rows.push(['refused', fault])
  return rows
}

/** `direct, 21 ms, for 5 minutes`. */
function describePath({ kind, rttMs, loss, sinceS, isOnline }: PathStatus): string {
  const parts: string[] = [kind]
  if (rttMs !== null) parts.push(`${rttMs} ms`)
  if (loss >= 0.01) parts.push(`${Math.round(loss * 100)} % lost`)
  parts.push(`since ${formatAge(sinceS)}`)
  if (!isOnline) parts.push('offline: it is not connected to the hub')
  return parts.join(', ')
}

function formatPeer(peer: PeerStatus, paint: Paint): string {
  const name = peer.name ?? shorten(peer.publicKey)
  const rows: [string, string][] = [
    ['public key', peer.publicKey],
    ...pathRows(peer),
    ['allowed IPs', list(peer.allowedIps)],
    ['handshake', peer.lastHandshakeAgeS === null ? 'never' : formatAge(peer.lastHandshakeAgeS)],
    ['traffic', `${formatBytes(peer.rxBytes)} received, ${formatBytes(peer.txBytes)} sent`],
  ]
  if (peer.persistentKeepaliveS > 0) rows.push(['keepalive', `every ${peer.persistentKeepaliveS} s`])
  const head = `  ${paint('bold', name)}  ${paint(STATE_STYLES[peer.state], peer.summary)}`
  return `${head}\n${formatRows(rows, '    ')}`
}

/** Over a relay there is no endpoint to speak of. */
function pathRows({ path, endpoint, endpointFault }: PeerStatus): [string, string][] {
  const rows: [string, string][] = path === null ? [] : [['path', describePath(path)]]
  if (path?.kind === 'relay') return rows
  const fault: [string, string][] = endpointFault === '' ? [] : [['fault', endpointFault]]
  return [...rows, ['endpoint', endpoint ?? 'not known'], ...fault]
}

function formatRows(rows: readonly (readonly [string, string])[], indent: string): string {
  return rows.map(([label, value]) => `${indent}${label.padEnd(12)} ${value}`).join('\n')
}

function shorten(publicKey: string): string {
  const key = tryParseKeyBase64<PublicKey>(publicKey)
  return key === undefined ? publicKey : formatShortKey(key)
}

function list(values: readonly string[]): string {
  return values.length === 0 ? 'none' : values.join(', ')
}

/** `sourceNotAllowed` -> `source not allowed`. */
function inWords(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
