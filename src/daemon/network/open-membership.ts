/** Composes a membership from a tunnel file: its keys, its store, and the live device it works on. */

import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ConfigError } from '../../base/errors.js'
import type { Logger } from '../../base/log.js'
import type { TunnelConfig } from '../../config/types.js'
import type { IpAddress } from '../../net/ip.js'
import { bootNowMs, wallNowMs } from '../../platform/clock.js'
import { labelTunnel } from '../../platform/underlay.js'
import type { Crypto } from '../../wireguard/crypto.js'
import { formatKeyHex } from '../../wireguard/keys.js'
import type { LiveDevice } from '../live-device.js'
import { createWakeUp } from '../wake-up.js'
import { readIdentityFile } from './identity-file.js'
import { KeyFiles } from './key-files.js'
import { KEY_LIFETIME_S, KeyRotation } from './key-rotation.js'
import { Membership } from './membership.js'
import { NetworkStore } from './network-store.js'
import { openProxy } from './open-proxy.js'

export interface MembershipRequest {
  readonly interfaceName: string
  readonly configFile: string
  readonly config: TunnelConfig
  readonly device: LiveDevice
  readonly crypto: Crypto
  readonly log: Logger
  /** For whoever starts the interface. */
  readonly warn: (text: string) => void
}

/** Undefined if the file names no network. Throws ConfigError, PlatformError. */
export function openMembership(request: MembershipRequest): Membership | undefined {
  const { interfaceName, configFile, config, device, crypto, log, warn } = request
  const { overlay } = config
  if (overlay === undefined) return undefined
  const { privateKey, privateKeyFile } = config.interface
  if (privateKey === undefined) {
    const hint = 'add PrivateKeyFile to [Interface], as overlay join writes it'
    throw new ConfigError([
      { file: configFile, line: 0, message: 'a node of a network needs a private key', hint },
    ])
  }
  const identity = readIdentityFile(resolve(dirname(configFile), overlay.identityFile))
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
  const keys = new KeyRotation({
    identity,
    staticKey: crypto.dhPrivateKey(privateKey),
    files:
      privateKeyFile === undefined ? undefined : new KeyFiles(resolve(dirname(configFile), privateKeyFile)),
    fileSinceMs: statSync(configFile).mtimeMs,
    lifetimeS: overlay.keyLifetimeS ?? KEY_LIFETIME_S,
    engine: device.engine,
    crypto,
    random,
    wallNowMs,
    log,
  })
  const filePeers = new Set(config.peers.map((peer) => formatKeyHex(peer.publicKey)))
  const membership = new Membership({
    config: overlay,
    interfaceName,
    configFile,
    nameServerAddress: overlay.hasNames === false ? undefined : ownAddressOf(config),
    identity,
    keys,
    mtu: () => device.mtu,
    proxy: openProxy(overlay, dirname(configFile)),
    engine: device.engine,
    underlay: device.underlay,
    store: new NetworkStore(interfaceName, log),
    isFilePeer: (publicKey) => filePeers.has(formatKeyHex(publicKey)),
    crypto,
    random,
    createWakeUp: (onWake) => createWakeUp(bootNowMs, onWake),
    nowMs: bootNowMs,
    wallNowMs,
    log,
    warn,
  })
  labelTunnel(device.tun.linkIndex, overlay.network)
  membership.start()
  return membership
}

function ownAddressOf(config: TunnelConfig): { v4: IpAddress; v6: IpAddress } | undefined {
  const addresses = config.interface.addresses.map(({ address }) => address)
  const [v4, v6] = [4, 6].map((family) => addresses.find((address) => address.family === family))
  return v4 === undefined || v6 === undefined ? undefined : { v4, v6 }
}
