/**
 * The table of settings: every key of a tunnel file, what it may hold, and where its value goes.
 *
 * `wg` drops blanks inside its values and `wg-quick` splits lists at commas and blanks; both is kept.
 * Keys that are ours alone: PrivateKeyFile, and Name in a peer.
 */

import { isZero } from '../base/bytes.js'
import { DNS_LABEL } from '../net/dns-label.js'
import {
  formatHostEndpoint,
  type HostEndpoint,
  tryParseBareEndpoint,
  tryParseHostEndpoint,
} from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import { RANGE_WORDS, tryParseRange } from '../net/network-range.js'
import { type Prefix, tryParsePrefix } from '../net/prefix.js'
import { type PresharedKey, type PrivateKey, type PublicKey, tryParseKeyBase64 } from '../wireguard/keys.js'
import type { RoutingTable } from './types.js'
import { compact, tryParseDns, tryParseInteger, tryParseMark, tryParseTable, tryParseTime } from './values.js'

/** A setting of a section whose values are gathered in a `Draft`. */
export interface Setting<Draft> {
  readonly name: string
  /** What it may hold, for people. */
  readonly allowed: string
  /** May stand several times; the values add up. */
  readonly repeats: boolean
  /** The value is a key: faults describe it, but do not show it. */
  readonly isKey: boolean
  /** Takes the value into the draft; gives the parts of it that are wrong. */
  readonly apply: (draft: Draft, value: string, line: number) => readonly string[]
  /** A warning about a value that is taken. */
  readonly remark?: (value: string) => { readonly message: string; readonly hint: string } | undefined
}

/** A prefix as written, with host bits, and where. */
interface WrittenPrefix {
  readonly prefix: Prefix
  readonly line: number
}

export interface InterfaceDraft {
  privateKey: PrivateKey | undefined
  privateKeyFile: string | undefined
  listenPort: number | undefined
  fwMark: number
  addresses: WrittenPrefix[]
  dns: (IpAddress | string)[]
  mtu: number | undefined
  table: RoutingTable
  preUp: string[]
  postUp: string[]
  preDown: string[]
  postDown: string[]
  saveConfig: boolean
}

export interface PeerDraft {
  name: string | undefined
  publicKey: PublicKey | undefined
  presharedKey: PresharedKey | undefined
  allowedIps: WrittenPrefix[]
  endpoint: HostEndpoint | undefined
  persistentKeepaliveS: number
}

export interface OverlayDraft {
  killSwitch: boolean
  hasNames: boolean
  hub: HostEndpoint | undefined
  hubKey: PublicKey | undefined
  network: string | undefined
  name: string | undefined
  identityFile: string | undefined
  proxy: string | undefined
  proxyCa: string | undefined
  range: Prefix | undefined
  keyLifetimeS: number | undefined
}

const MTU_MIN = 68 // RFC 791: what every link carries
const MTU_MAX = 65535
const KEY_LIFETIME_MIN_S = 10
const KEY_LIFETIME_MAX_S: number = 365 * 86_400
const BLANKS_OR_COMMAS = /[\s,]+/
const PREFIX = 'an IPv4 or IPv6 address, with /bits if it is more than a host'

export const INTERFACE_SETTINGS: readonly Setting<InterfaceDraft>[] = [
  key('PrivateKey', (draft, value) => {
    const parsed = tryParseKeyBase64<PrivateKey>(value)
    draft.privateKey = parsed
    return parsed !== undefined && !isZero(parsed)
  }),
  one('PrivateKeyFile', 'the path of a file', (draft, value) => {
    draft.privateKeyFile = value
    return true
  }),
  one('ListenPort', 'a number from 0 to 65535', (draft, value) => {
    draft.listenPort = tryParseInteger(compact(value), 0, 0xffff)
    return draft.listenPort !== undefined
  }),
  one('FwMark', 'off, or a number up to 0xffffffff', (draft, value) => {
    const mark = /^off$/i.test(value) ? 0 : tryParseMark(compact(value))
    draft.fwMark = mark ?? 0
    return mark !== undefined
  }),
  list('Address', PREFIX, BLANKS_OR_COMMAS, (draft, item, line) =>
    pushPrefix(draft.addresses, tryParsePrefix(item), line),
  ),
  list('DNS', 'IP addresses of servers, and search domains', BLANKS_OR_COMMAS, (draft, item) => {
    const entry = tryParseDns(item)
    if (entry !== undefined) draft.dns.push(entry)
    return entry !== undefined
  }),
  one('MTU', `a number from ${MTU_MIN} to ${MTU_MAX}`, (draft, value) => {
    draft.mtu = tryParseInteger(value, MTU_MIN, MTU_MAX)
    return draft.mtu !== undefined
  }),
  one('Table', 'auto, off, main, local, default, or a number from 1', (draft, value) => {
    const table = tryParseTable(value.toLowerCase())
    draft.table = table ?? 'auto'
    return table !== undefined
  }),
  hook('PreUp', (draft) => draft.preUp),
  hook('PostUp', (draft) => draft.postUp),
  hook('PreDown', (draft) => draft.preDown),
  hook('PostDown', (draft) => draft.postDown),
  one('SaveConfig', 'true or false', (draft, value) => {
    draft.saveConfig = /^true$/i.test(value)
    return /^(true|false)$/i.test(value)
  }),
]

export const PEER_SETTINGS: readonly Setting<PeerDraft>[] = [
  one('Name', 'up to 63 letters, digits, dots, dashes and underscores', (draft, value) => {
    draft.name = value
    return /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(value)
  }),
  key('PublicKey', (draft, value) => {
    draft.publicKey = tryParseKeyBase64<PublicKey>(value)
    return draft.publicKey !== undefined
  }),
  key('PresharedKey', (draft, value) => {
    const parsed = tryParseKeyBase64<PresharedKey>(value)
    // All zero is how the protocol writes "none" (WireGuard paper, section 5.2).
    draft.presharedKey = parsed === undefined || isZero(parsed) ? undefined : parsed
    return parsed !== undefined
  }),
  list('AllowedIPs', PREFIX, ',', (draft, item, line) =>
    pushPrefix(draft.allowedIps, tryParsePrefix(compact(item)), line),
  ),
  {
    ...one<PeerDraft>('Endpoint', 'host:port, 192.0.2.1:port or [2001:db8::1]:port', (draft, value) => {
      draft.endpoint = tryParseHostEndpoint(compact(value), 0) ?? tryParseBareEndpoint(compact(value), 0)
      return draft.endpoint !== undefined
    }),
    remark: (value) => {
      const bare = tryParseBareEndpoint(compact(value), 0)
      if (tryParseHostEndpoint(compact(value), 0)?.port === 0 || bare?.port === 0) {
        return { message: 'Endpoint has port 0', hint: 'nothing is sent there until the peer has called' }
      }
      if (bare === undefined) return undefined
      return { message: 'Endpoint has no brackets', hint: `it is taken as ${formatHostEndpoint(bare)}` }
    },
  },
  one('PersistentKeepalive', 'off, or seconds from 1 to 65535', (draft, value) => {
    const seconds = /^off$/i.test(value) ? 0 : tryParseInteger(compact(value), 0, 0xffff)
    draft.persistentKeepaliveS = seconds ?? 0
    return seconds !== undefined
  }),
]

const LABEL_WORDS = 'up to 63 lower case letters, digits and dashes'

/** Written by `overlay join`; Proxy, ProxyCA, Range, Names, KillSwitch and KeyLifetime may be left out. */
export const OVERLAY_SETTINGS: readonly Setting<OverlayDraft>[] = [
  one('Hub', 'host:port, 192.0.2.1:port or [2001:db8::1]:port', (draft, value) => {
    draft.hub = tryParseHostEndpoint(compact(value))
    return draft.hub !== undefined
  }),
  key('HubKey', (draft, value) => {
    draft.hubKey = tryParseKeyBase64<PublicKey>(value)
    return draft.hubKey !== undefined
  }),
  one('Network', LABEL_WORDS, (draft, value) => {
    draft.network = value
    return DNS_LABEL.test(value)
  }),
  one('Name', LABEL_WORDS, (draft, value) => {
    draft.name = value
    return DNS_LABEL.test(value)
  }),
  one('IdentityFile', 'the path of a file', (draft, value) => {
    draft.identityFile = value
    return true
  }),
  {
    // Treated as a key: it may hold a password.
    ...one<OverlayDraft>(
      'Proxy',
      'http://host:port, https://host:port or http://user:password@host:port',
      (draft, value) => {
        draft.proxy = value
        return /^https?:\/\/[^\s/]+\/?$/.test(value)
      },
    ),
    isKey: true,
  },
  one('ProxyCA', 'the path of a file with certificates, as PEM', (draft, value) => {
    draft.proxyCa = value
    return true
  }),
  one('Range', RANGE_WORDS, (draft, value) => {
    draft.range = tryParseRange(compact(value))
    return draft.range !== undefined
  }),
  one('Names', 'on or off', (draft, value) => {
    draft.hasNames = !/^off$/i.test(value)
    return /^(on|off)$/i.test(value)
  }),
  one('KillSwitch', 'yes or no', (draft, value) => {
    draft.killSwitch = /^yes$/i.test(value)
    return /^(yes|no)$/i.test(value)
  }),
  one('KeyLifetime', 'a time from 10s to 365d, as 30d, 12h, 90m or 600s', (draft, value) => {
    draft.keyLifetimeS = tryParseTime(compact(value), KEY_LIFETIME_MIN_S, KEY_LIFETIME_MAX_S)
    return draft.keyLifetimeS !== undefined
  }),
]

/** A setting with one value. `take` puts it into the draft and gives false if it is wrong. */
function one<Draft>(
  name: string,
  allowed: string,
  take: (draft: Draft, value: string) => boolean,
): Setting<Draft> {
  const apply = (draft: Draft, value: string) => (value !== '' && take(draft, value) ? [] : [value])
  return { name, allowed, repeats: false, isKey: false, apply }
}

function key<Draft>(name: string, take: (draft: Draft, value: string) => boolean): Setting<Draft> {
  return { ...one(name, '32 bytes as base64', (draft, value) => take(draft, compact(value))), isKey: true }
}

/** A setting with any number of values, none included. `take` gives false for a wrong one. */
function list<Draft>(
  name: string,
  allowed: string,
  separator: RegExp | string,
  take: (draft: Draft, item: string, line: number) => boolean,
): Setting<Draft> {
  const apply = (draft: Draft, value: string, line: number) => {
    const items = value === '' ? [] : value.split(separator).map((item) => item.trim())
    // Blanks at either end of a list that is split at blanks leave an empty item; commas do not.
    const given = separator === BLANKS_OR_COMMAS ? items.filter((item) => item !== '') : items
    return given.filter((item) => !take(draft, item, line))
  }
  return { name, allowed, repeats: true, isKey: false, apply }
}

/** Commands are taken as they stand; an empty one does nothing. */
function hook(name: string, commands: (draft: InterfaceDraft) => string[]): Setting<InterfaceDraft> {
  const apply = (draft: InterfaceDraft, value: string) => {
    if (value !== '') commands(draft).push(value)
    return []
  }
  return { name, allowed: 'a shell command', repeats: true, isKey: false, apply }
}

/** False if there is no prefix to add. */
function pushPrefix(written: WrittenPrefix[], prefix: Prefix | undefined, line: number): boolean {
  if (prefix !== undefined) written.push({ prefix, line })
  return prefix !== undefined
}
