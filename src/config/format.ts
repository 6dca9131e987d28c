/**
 * TunnelConfig -> text: the whole file, or the part of it that `wg setconf` takes.
 *
 * parseConfig(formatConfig(config)) is `config`. A key that came from a PrivateKeyFile is not copied
 * into the whole file: the path is.
 */

import { formatHostEndpoint } from '../net/endpoint.js'
import { formatIp } from '../net/ip.js'
import { formatPrefix } from '../net/prefix.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import type { InterfaceConfig, OverlayConfig, PeerConfig, TunnelConfig } from './types.js'
import { formatTime } from './values.js'

export function formatConfig(config: TunnelConfig): string {
  const lines = ['[Interface]', ...interfaceLines(config.interface)]
  for (const peer of config.peers) {
    lines.push('', '[Peer]')
    if (peer.name !== undefined) lines.push(`Name = ${peer.name}`)
    lines.push(...wireguardPeerLines(peer))
  }
  const { overlay, killSwitch } = config
  if (overlay !== undefined || killSwitch === true) {
    const network = overlay === undefined ? [] : overlayLines(overlay)
    lines.push('', '[Overlay]', ...network, ...(killSwitch === true ? ['KillSwitch = yes'] : []))
  }
  return `${lines.join('\n')}\n`
}

function overlayLines(overlay: OverlayConfig): string[] {
  const lines = [
    `Hub = ${formatHostEndpoint(overlay.hub)}`,
    `HubKey = ${formatKeyBase64(overlay.hubKey)}`,
    `Network = ${overlay.network}`,
    `Name = ${overlay.name}`,
    `IdentityFile = ${overlay.identityFile}`,
  ]
  if (overlay.proxy !== undefined) lines.push(`Proxy = ${overlay.proxy}`)
  if (overlay.proxyCa !== undefined) lines.push(`ProxyCA = ${overlay.proxyCa}`)
  if (overlay.range !== undefined) lines.push(`Range = ${formatPrefix(overlay.range)}`)
  if (overlay.hasNames === false) lines.push('Names = off')
  if (overlay.keyLifetimeS !== undefined) lines.push(`KeyLifetime = ${formatTime(overlay.keyLifetimeS)}`)
  return lines
}

/** Holds the private key, if it is known. */
export function stripConfig(config: TunnelConfig): string {
  const lines = [
    '[Interface]',
    ...privateKeyLine(config.interface),
    ...wireguardInterfaceLines(config.interface),
  ]
  for (const peer of config.peers) lines.push('', '[Peer]', ...wireguardPeerLines(peer))
  return `${lines.join('\n')}\n`
}

function interfaceLines(settings: InterfaceConfig): string[] {
  const { addresses, dns, mtu, table } = settings
  const keyFile = settings.privateKeyFile
  const lines = keyFile === undefined ? privateKeyLine(settings) : [`PrivateKeyFile = ${keyFile}`]
  lines.push(...wireguardInterfaceLines(settings))
  for (const address of addresses) lines.push(`Address = ${formatPrefix(address)}`)
  const dnsEntries = [...dns.servers.map(formatIp), ...dns.searchDomains]
  if (dnsEntries.length > 0) lines.push(`DNS = ${dnsEntries.join(', ')}`)
  if (mtu !== undefined) lines.push(`MTU = ${mtu}`)
  if (table !== 'auto') lines.push(`Table = ${table}`)
  for (const command of settings.preUp) lines.push(`PreUp = ${command}`)
  for (const command of settings.postUp) lines.push(`PostUp = ${command}`)
  for (const command of settings.preDown) lines.push(`PreDown = ${command}`)
  for (const command of settings.postDown) lines.push(`PostDown = ${command}`)
  if (settings.saveConfig) lines.push('SaveConfig = true')
  return lines
}

function privateKeyLine(settings: InterfaceConfig): string[] {
  return settings.privateKey === undefined ? [] : [`PrivateKey = ${formatKeyBase64(settings.privateKey)}`]
}

function wireguardInterfaceLines(settings: InterfaceConfig): string[] {
  const lines: string[] = []
  if (settings.listenPort !== undefined) lines.push(`ListenPort = ${settings.listenPort}`)
  if (settings.fwMark !== 0) lines.push(`FwMark = 0x${settings.fwMark.toString(16)}`)
  return lines
}

function wireguardPeerLines(peer: PeerConfig): string[] {
  const lines = [`PublicKey = ${formatKeyBase64(peer.publicKey)}`]
  if (peer.presharedKey !== undefined) lines.push(`PresharedKey = ${formatKeyBase64(peer.presharedKey)}`)
  if (peer.allowedIps.length > 0) lines.push(`AllowedIPs = ${peer.allowedIps.map(formatPrefix).join(', ')}`)
  if (peer.endpoint !== undefined) lines.push(`Endpoint = ${formatHostEndpoint(peer.endpoint)}`)
  if (peer.persistentKeepaliveS > 0) lines.push(`PersistentKeepalive = ${peer.persistentKeepaliveS}`)
  return lines
}
