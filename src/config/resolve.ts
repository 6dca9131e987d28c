/**
 * Sections as read -> TunnelConfig: what must hold between settings.
 *
 * A public key, a name and an interface address may stand once. A prefix in several peers belongs
 * to the last of them, as in every WireGuard; the others lose it here, with a warning.
 */

import { formatIp, tryParseIp } from '../net/ip.js'
import { formatPrefix, maskPrefix, type Prefix } from '../net/prefix.js'
import { MAX_PEERS } from '../wireguard/constants.js'
import { formatKeyBase64 } from '../wireguard/keys.js'
import { type InterfaceDraft, OVERLAY_SETTINGS, type OverlayDraft, type PeerDraft } from './settings.js'
import type { InterfaceConfig, OverlayConfig, PeerConfig, TunnelConfig } from './types.js'

/** A section under way: where it starts, and on which line each of its keys stands first. */
export interface Section<Draft> {
  readonly line: number
  readonly keyLines: Map<string, number>
  readonly draft: Draft
}

/** Takes what was found, by line; line 0 is the whole file. */
export interface Findings {
  readonly fault: (line: number, message: string, hint: string) => void
  readonly warning: (line: number, message: string, hint: string) => void
}

/** Of [Overlay]; the others must stand. */
const OPTIONAL: ReadonlySet<string> = new Set([
  'Proxy',
  'ProxyCA',
  'Range',
  'Names',
  'KillSwitch',
  'KeyLifetime',
])

export function openInterface(): Section<InterfaceDraft> {
  const draft: InterfaceDraft = {
    privateKey: undefined,
    privateKeyFile: undefined,
    listenPort: undefined,
    fwMark: 0,
    addresses: [],
    dns: [],
    mtu: undefined,
    table: 'auto',
    preUp: [],
    postUp: [],
    preDown: [],
    postDown: [],
    saveConfig: false,
  }
  return { line: 0, keyLines: new Map(), draft }
}

export function openPeer(line: number): Section<PeerDraft> {
  const draft: PeerDraft = {
    name: undefined,
    publicKey: undefined,
    presharedKey: undefined,
    allowedIps: [],
    endpoint: undefined,
    persistentKeepaliveS: 0,
  }
  return { line, keyLines: new Map(), draft }
}

export function openOverlay(line: number): Section<OverlayDraft> {
  const draft: OverlayDraft = {
    hub: undefined,
    hubKey: undefined,
    network: undefined,
    name: undefined,
    identityFile: undefined,
    proxy: undefined,
    proxyCa: undefined,
    range: undefined,
    keyLifetimeS: undefined,
    killSwitch: false,
    hasNames: true,
  }
  return { line, keyLines: new Map(), draft }
}

/** The result is whole only if no fault was found, here or before. */
export function resolveConfig(
  section: Section<InterfaceDraft>,
  peerSections: readonly Section<PeerDraft>[],
  overlaySection: Section<OverlayDraft> | undefined,
  findings: Findings,
): TunnelConfig {
  const overlay = overlaySection && resolveOverlay(overlaySection, findings)
  if (overlaySection?.draft.killSwitch === true) warnOfKillSwitch(overlaySection, peerSections, findings)
  return {
    interface: resolveInterface(section, findings),
    peers: resolvePeers(peerSections, findings),
    ...(overlay !== undefined && { overlay }),
    ...(overlaySection?.draft.killSwitch === true && { killSwitch: true as const }),
  }
}

/** Undefined if something is missing; it is reported then, unless its line was already. */
function resolveOverlay(section: Section<OverlayDraft>, findings: Findings): OverlayConfig | undefined {
  const { line, keyLines, draft } = section
  const { hub, hubKey, network, name, identityFile, proxy, proxyCa, range, keyLifetimeS, hasNames } = draft
  const missing = OVERLAY_SETTINGS.map((setting) => setting.name).filter(
    (setting) => !OPTIONAL.has(setting) && !keyLines.has(setting),
  )
  const [only, ...others] = keyLines.keys()
  if (only === 'KillSwitch' && others.length === 0) return undefined
  if (missing.length > 0) {
    const hint = 'join anew, or take the section away: overlay join writes it whole'
    findings.fault(line, `this [Overlay] has no ${missing.join(', ')}`, hint)
  }
  if (hub === undefined || hubKey === undefined || network === undefined) return undefined
  if (name === undefined || identityFile === undefined) return undefined
  return {
    hub,
    hubKey,
    network,
    name,
    identityFile,
    ...(proxy !== undefined && { proxy }),
    ...(proxyCa !== undefined && { proxyCa }),
    ...(range !== undefined && { range }),
    ...(!hasNames && { hasNames }),
    ...(keyLifetimeS !== undefined && { keyLifetimeS }),
  }
}

/** What makes a kill switch less than its user expects. */
function warnOfKillSwitch(
  { keyLines }: Section<OverlayDraft>,
  peers: readonly Section<PeerDraft>[],
  findings: Findings,
): void {
  const line = keyLines.get('KillSwitch') ?? 0
  const isEverywhere = peers.some(({ draft }) => draft.allowedIps.some(({ prefix }) => prefix.bits === 0))
  if (!isEverywhere) {
    const hint = 'add AllowedIPs = 0.0.0.0/0, ::/0 to a peer, or take the line away'
    findings.warning(line, 'KillSwitch does nothing without a default route through the tunnel', hint)
  }
  for (const { draft, keyLines: peerLines } of peers) {
    if (draft.endpoint === undefined || tryParseIp(draft.endpoint.host) !== undefined) continue
    findings.warning(
      peerLines.get('Endpoint') ?? 0,
      `KillSwitch keeps ${draft.endpoint.host} from being looked up when the daemon comes back after a crash`,
      'write its address instead',
    )
  }
}

function resolveInterface(section: Section<InterfaceDraft>, findings: Findings): InterfaceConfig {
  const { keyLines, draft } = section
  const keyLine = keyLines.get('PrivateKey')
  const keyFileLine = keyLines.get('PrivateKeyFile')
  if (keyLine !== undefined && keyFileLine !== undefined) {
    findings.fault(keyFileLine, `PrivateKey is given too, on line ${keyLine}`, 'keep one of the two')
  }
  const { dns, addresses, ...rest } = draft
  const seen = new Map<string, number>()
  for (const { prefix, line } of addresses) {
    // The kernel takes an IPv4 address again with another length, an IPv6 address only once.
    const text = prefix.address.family === 4 ? formatPrefix(prefix) : formatIp(prefix.address)
    checkOnce(seen, { name: 'Address', text, line }, findings)
  }
  return {
    ...rest,
    addresses: addresses.map(({ prefix }) => prefix),
    dns: {
      servers: dns.filter((entry) => typeof entry !== 'string'),
      searchDomains: dns.filter((entry) => typeof entry === 'string'),
    },
  }
}

function resolvePeers(sections: readonly Section<PeerDraft>[], findings: Findings): PeerConfig[] {
  if (sections.length > MAX_PEERS) {
    findings.fault(0, `there are ${sections.length} peers`, `at most ${MAX_PEERS} are possible`)
  }
  const names = new Map<string, number>()
  const publicKeys = new Map<string, number>()
  const ownership = assignAllowedIps(sections, findings)
  const peers: PeerConfig[] = []
  for (const section of sections) {
    const { line, keyLines, draft } = section
    const { name, publicKey } = draft
    if (!keyLines.has('PublicKey')) {
      findings.fault(line, 'this [Peer] has no PublicKey', 'add the key that it shows with: overlay pubkey')
    }
    if (name !== undefined) {
      checkOnce(names, { name: 'Name', text: name, line: keyLines.get('Name') ?? line }, findings)
    }
    if (publicKey === undefined) continue
    const text = formatKeyBase64(publicKey)
    checkOnce(publicKeys, { name: 'PublicKey', text, line: keyLines.get('PublicKey') ?? line }, findings)
    peers.push({ ...draft, publicKey, allowedIps: ownership.get(section) ?? [] })
  }
  return peers
}

/** Masks all allowed IPs and gives each to the last peer that lists it. */
function assignAllowedIps(
  sections: readonly Section<PeerDraft>[],
  findings: Findings,
): ReadonlyMap<Section<PeerDraft>, readonly Prefix[]> {
  const owners = new Map<string, { section: Section<PeerDraft>; prefix: Prefix }>()
  for (const section of sections) {
    for (const { prefix: written, line } of section.draft.allowedIps) {
      const prefix = maskPrefix(written)
      const text = formatPrefix(prefix)
      if (formatPrefix(written) !== text) {
        findings.warning(line, `${formatPrefix(written)} has host bits`, `it is taken as ${text}`)
      }
      const owner = owners.get(text)
      if (owner?.section === section) continue
      if (owner !== undefined) {
        findings.warning(
          line,
          `${text} is in the peer of line ${owner.section.line} too`,
          'the last peer gets it',
        )
      }
      owners.delete(text)
      owners.set(text, { section, prefix })
    }
  }
  const assigned = new Map<Section<PeerDraft>, Prefix[]>(sections.map((section) => [section, []]))
  for (const { section, prefix } of owners.values()) assigned.get(section)?.push(prefix)
  return assigned
}

/** Faults a value that an earlier line has already. */
function checkOnce(
  seen: Map<string, number>,
  value: { readonly name: string; readonly text: string; readonly line: number },
  findings: Findings,
): void {
  const earlier = seen.get(value.text)
  if (earlier === undefined) seen.set(value.text, value.line)
  else findings.fault(value.line, `${value.name} ${value.text} is on line ${earlier} already`, 'remove one')
}
