/**
 * `overlay device`: the interface and its UAPI socket, nothing else. Keys, peers, addresses, routes
 * and the link state come from other tools, such as wg and wg-quick.
 */

import { AppError, ERROR_CODES } from '../base/errors.js'
import type { LiveDevice } from './live-device.js'
import type { ReloadResult } from './local-api-schema.js'
import type { Service } from './service.js'

export class DeviceService implements Service {
  readonly #openDevice: () => Promise<LiveDevice>
  readonly membership = undefined
  #device: LiveDevice | undefined

  constructor(openDevice: () => Promise<LiveDevice>) {
    this.#openDevice = openDevice
  }

  get device(): LiveDevice | undefined {
    return this.#device
  }

  peerNames(): ReadonlyMap<string, string> {
    return new Map()
  }

  faults(): readonly string[] {
    return []
  }

  async start(): Promise<void> {
    this.#device = await this.#openDevice()
  }

  async reload(): Promise<ReloadResult> {
    throw new AppError(ERROR_CODES.conflict, 'a bare device has no file to reload', {
      hint: 'configure it with: wg setconf, or bring a file up with: overlay up',
    })
  }

  async stop(): Promise<string[]> {
    await this.#device?.stop()
    return []
  }
}
