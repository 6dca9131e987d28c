/**
 * What a tunnel file says, as values. Made by parse.ts only, so what is in here is valid: nothing
 * inside the program checks it again.
 *
 * INVARIANT: allowed IPs are masked, and a prefix stands in one peer only.
 */

import type { HostEndpoint } from '../net/endpoint.js'
import type { IpAddress } from '../net/ip.js'
import type { Prefix } from '../net/prefix.js'
import type { PresharedKey, PrivateKey, PublicKey } from '../wireguard/keys.js'

export interface TunnelConfig {
  readonly interface: InterfaceConfig
  /** In file order, each public key once. */
  readonly peers: readonly PeerConfig[]
  /** Of a node that has joined a network. */
  readonly overlay?: OverlayConfig
  /** With a default route through the tunnel, nothing leaves beside it, also when its daemon is gone. */
  readonly killSwitch?: true
}

export interface OverlayConfig {
  readonly hub: HostEndpoint
  /** Of the hub's sessions: whoever answers must hold it. */
  readonly hubKey: PublicKey
  readonly network: string
  /** This node's own. */
  readonly name: string
  /** False: this machine does not ask the node for names. */
  readonly hasNames?: false
  /** Path of the file with the seed of the identity key. */
  readonly identityFile: string
  /** Of an HTTP proxy for hub and relays; may hold a password. */
  readonly proxy?: string
  /** Path of a file with the certificate, as PEM, by which a proxy with TLS is known beside the usual ones. */
  readonly proxyCa?: string
  /** IPv4 range of the network, where it lies outside 100.64.0.0/10: a person confirmed it. */
  readonly range?: Prefix
  /** This node's tunnel key is changed when it is so old; undefined for the usual time. */
  readonly keyLifetimeS?: number
}

/** `auto`: the main table, or policy routing for a default route. A number: that table. */
export type RoutingTable = 'auto' | 'off' | number

export interface InterfaceConfig {
  readonly privateKey: PrivateKey | undefined
  /** Path of a file that holds the private key; the file itself is read by the daemon. */
  readonly privateKeyFile: string | undefined
  /** Undefined if the file leaves it open; 0 lets the kernel choose. */
  readonly listenPort: number | undefined
  /** 0 for none. */
  readonly fwMark: number
  /** Host bits kept: these are addresses of the interface. */
  readonly addresses: readonly Prefix[]
  readonly dns: DnsConfig
  readonly mtu: number | undefined
  readonly table: RoutingTable
  /** Shell commands as written; `%i` is not replaced yet. */
  readonly preUp: readonly string[]
  readonly postUp: readonly string[]
  readonly preDown: readonly string[]
  readonly postDown: readonly string[]
  readonly saveConfig: boolean
}

interface DnsConfig {
  readonly servers: readonly IpAddress[]
  readonly searchDomains: readonly string[]
}

export interface PeerConfig {
  readonly name: string | undefined
  readonly publicKey: PublicKey
  readonly presharedKey: PresharedKey | undefined
  readonly allowedIps: readonly Prefix[]
  readonly endpoint: HostEndpoint | undefined
  /** 0 is off. */
  readonly persistentKeepaliveS: number
}
