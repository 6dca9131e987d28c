/**
 * The lines of one UAPI set operation -> DeviceUpdate (WireGuard cross-platform documentation,
 * "Configuration Protocol").
 *
 * All or nothing: a request is read to its end before any of it counts. Faults name the key that is
 * wrong and never its value, which may be a secret.
 */

import { isZero } from '../base/bytes.js'
import type { Endpoint } from '../net/endpoint.js'
import { tryParseIp } from '../net/ip.js'
import { maskPrefix, tryParsePrefix } from '../net/prefix.js'
import type { AllowedIpUpdate, DeviceUpdate, PeerUpdate } from '../wireguard/configuration.js'
import { type PresharedKey, type PrivateKey, type PublicKey, tryParseKeyHex } from '../wireguard/keys.js'
import { tryParseInteger } from './values.js'

/** Interface index of a zone name such as `eth0`; undefined if there is no such interface. */
export type ScopeIdOf = (zone: string) => number | undefined

type Draft<T> = { -readonly [K in keyof T]: T[K] }
type DeviceDraft = Draft<Omit<DeviceUpdate, 'peers'>>
type PeerDraft = Draft<Omit<PeerUpdate, 'allowedIps'>> & { allowedIps: AllowedIpUpdate[] }

/** Takes a value into a draft; false if it is wrong. */
type Take<T> = (draft: T, value: string, scopeIdOf: ScopeIdOf) => boolean

const UINT16_MAX = 0xffff
const UINT32_MAX = 0xffff_ffff
const DEVICE_KEYS: ReadonlyMap<string, Take<DeviceDraft>> = new Map<string, Take<DeviceDraft>>([
  [
    'private_key',
    (device, value) => {
      const key = tryParseKeyHex<PrivateKey>(value)
      if (key !== undefined) device.privateKey = isZero(key) ? null : key
      return key !== undefined
    },
  ],
  [
    'listen_port',
    (device, value) => {
      const port = tryParseInteger(value, 0, UINT16_MAX)
      if (port !== undefined) device.listenPort = port
      return port !== undefined
    },
  ],
  [
    'fwmark',
    (device, value) => {
      const mark = tryParseInteger(value, 0, UINT32_MAX)
      if (mark !== undefined) device.fwmark = mark
      return mark !== undefined
    },
  ],
  [
    'replace_peers',
    (device, value) => {
      device.replacePeers = true
      return value === 'true'
    },
  ],
])

const PEER_KEYS: ReadonlyMap<string, Take<PeerDraft>> = new Map<string, Take<PeerDraft>>([
  [
    'remove',
    (peer, value) => {
      peer.remove = true
      return value === 'true'
    },
  ],
  [
    'update_only',
    (peer, value) => {
      peer.updateOnly = true
      return value === 'true'
    },
  ],
  [
    'preshared_key',
    (peer, value) => {
      const key = tryParseKeyHex<PresharedKey>(value)
      if (key !== undefined) peer.presharedKey = isZero(key) ? null : key
      return key !== undefined
    },
  ],
  [
    'endpoint',
    (peer, value, scopeIdOf) => {
      const endpoint = tryParseEndpoint(value, scopeIdOf)
      if (endpoint !== undefined) peer.endpoint = endpoint
      return endpoint !== undefined
    },
  ],
  [
    'persistent_keepalive_interval',
    (peer, value) => {
      const seconds = tryParseInteger(value, 0, UINT16_MAX)
      if (seconds !== undefined) peer.persistentKeepaliveS = seconds
      return seconds !== undefined
    },
  ],
  [
    'replace_allowed_ips',
    (peer, value) => {
      peer.replaceAllowedIps = true
      // Lines count in their order: what was listed before is replaced too.
      peer.allowedIps = []
      return value === 'true'
    },
  ],
  [
    'allowed_ip',
    (peer, value) => {
      const remove = value.startsWith('-')
      const prefix = tryParsePrefix(remove ? value.slice(1) : value)
      if (prefix === undefined) return false
      peer.allowedIps.push({ prefix: maskPrefix(prefix), ...(remove && { remove }) })
      return true
    },
  ],
  ['protocol_version', (_peer, value) => value === '1'],
])

/** Numeric only: `a.b.c.d:port`, `[v6]:port`, `[v6%zone]:port`. */
function tryParseEndpoint(text: string, scopeIdOf: ScopeIdOf): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)(?:%([^\]]+))?\]|([\d.]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const [, v6, zone, v4, portText = ''] = match
  const address = tryParseIp(v6 ?? v4 ?? '')
  const port = tryParseInteger(portText, 0, UINT16_MAX)
  const scopeId = zone === undefined ? 0 : (tryParseInteger(zone, 0, UINT32_MAX) ?? scopeIdOf(zone))
  if (address === undefined || port === undefined || scopeId === undefined) return undefined
  return address.family === (v6 === undefined ? 4 : 6) ? { address, port, scopeId } : undefined
}

/** Gathers one set operation, line by line. */
export class UapiSet {
  readonly #device: DeviceDraft = {}
  readonly #peers: PeerDraft[] = []
  readonly #scopeIdOf: ScopeIdOf
  readonly #maxPeers: number

  constructor(scopeIdOf: ScopeIdOf, maxPeers: number) {
    this.#scopeIdOf = scopeIdOf
    this.#maxPeers = maxPeers
  }

  /** Gives what is wrong with the line, if anything is. The request is then to be dropped. */
  handleLine(key: string, value: string): string | undefined {
    if (key === 'public_key') return this.#startPeer(value)
    const peer = this.#peers.at(-1)
    const isTaken =
      peer === undefined
        ? DEVICE_KEYS.get(key)?.(this.#device, value, this.#scopeIdOf)
        : PEER_KEYS.get(key)?.(peer, value, this.#scopeIdOf)
    if (isTaken === undefined) return peer === undefined ? 'unknown device key' : 'unknown peer key'
    return isTaken ? undefined : `wrong value of ${key}`
  }

  finish(): DeviceUpdate {
    return { ...this.#device, peers: this.#peers.map(finishPeer) }
  }

  #startPeer(value: string): string | undefined {
    const publicKey = tryParseKeyHex<PublicKey>(value)
    if (publicKey === undefined) return 'wrong value of public_key'
    if (this.#peers.length === this.#maxPeers) return 'too many peers'
    this.#peers.push({ publicKey, allowedIps: [] })
    return undefined
  }
}

/** A peer that is to be removed has nothing else to be set. */
function finishPeer(peer: PeerDraft): PeerUpdate {
  return peer.remove === true ? { publicKey: peer.publicKey, remove: true, allowedIps: [] } : peer
}
