/** What a daemon serves: a tunnel from a file, or a bare device for other tools to configure. */

import type { LiveDevice } from './live-device.js'
import type { ReloadResult } from './local-api-schema.js'
import type { Membership } from './network/membership.js'

export interface Service {
  /** Undefined before start and if it failed early. */
  readonly device: LiveDevice | undefined
  /** Its part in a managed network, if it has one. */
  readonly membership: Membership | undefined
  /** From the file and the network, by base64 public key. */
  peerNames(): ReadonlyMap<string, string>
  /** What is not as it should be, though it is up, in words. */
  faults(): readonly string[]
  /** Ends early, with an error, when `signal` aborts. */
  start(signal: AbortSignal): Promise<void>
  reload(signal: AbortSignal): Promise<ReloadResult>
  /** Takes all of start back, however far it came. Gives what could not be undone. */
  stop(): Promise<string[]>
}
