/** Endpoints: where datagrams go. `Endpoint` is an address; `HostEndpoint` is what a user may write. */

import { equalIp, formatIp, type IpAddress, tryParseIp } from './ip.js'

export interface Endpoint {
  readonly address: IpAddress
  /** 1–65535; 0 for a peer whose port is not known: nothing is sent there. */
  readonly port: number
  /** Interface index for link-local v6 addresses, else 0. */
  readonly scopeId: number
}

/** A host name or address text, with a port, not resolved yet. */
export interface HostEndpoint {
  readonly host: string
  readonly port: number
}

const MAX_HOST_LENGTH = 253 // RFC 1035 section 2.3.4, without the root dot

/** `host:port`, `1.2.3.4:port` or `[v6]:port`, the v6 with an optional `%zone`. */
export function tryParseHostEndpoint(text: string, leastPort: 0 | 1 = 1): HostEndpoint | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const [, v6, name, portText] = match
  const port = Number(portText)
  if (port < leastPort || port > 65535) return undefined
  if (v6 !== undefined) {
    const [address = '', zone, ...rest] = v6.split('%')
    if (!address.includes(':') || tryParseIp(address) === undefined) return undefined
    return zone === '' || rest.length > 0 ? undefined : { host: v6, port }
  }
  const host = name as string
  if (host.length > MAX_HOST_LENGTH) return undefined
  if (/^[\d.]+$/.test(host) && tryParseIp(host) === undefined) return undefined
  return /^[A-Za-z0-9_]([A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*)?\.?$/.test(host) ? { host, port } : undefined
}

/** `v6:port`, as `wg` takes it: what stands behind the last colon is the port. */
export function tryParseBareEndpoint(text: string, leastPort: 0 | 1 = 1): HostEndpoint | undefined {
  const [, address, port] = /^([^[\]]*:[^[\]]*):(\d{1,5})$/.exec(text) ?? []
  return address === undefined ? undefined : tryParseHostEndpoint(`[${address}]:${port}`, leastPort)
}

export function formatHostEndpoint(endpoint: HostEndpoint): string {
  return endpoint.host.includes(':')
    ? `[${endpoint.host}]:${endpoint.port}`
    : `${endpoint.host}:${endpoint.port}`
}

/** `a.b.c.d:port` or `[v6]:port`; a scope is written by its index. */
export function formatEndpoint(endpoint: Endpoint): string {
  const { address, port, scopeId } = endpoint
  if (address.family === 4) return `${formatIp(address)}:${port}`
  return scopeId === 0 ? `[${formatIp(address)}]:${port}` : `[${formatIp(address)}%${scopeId}]:${port}`
}

export function equalEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.scopeId === b.scopeId && equalIp(a.address, b.address)
}
