/** What a hub wants done, in the order given; and what it counts. */

import type { DirectoryMessage, RelayMessage } from '../control/directory.js'
import type { HubMessage } from '../control/messages.js'

/** Names a control session; never used again. */
export type SessionId = number

export type HubEffect =
  | { readonly kind: 'send'; readonly session: SessionId; readonly message: HubMessage }
  | { readonly kind: 'tellRelay'; readonly session: SessionId; readonly message: RelayMessage }
  /** After what was sent before. */
  | { readonly kind: 'close'; readonly session: SessionId }
  /** For the hub's own relay. */
  | { readonly kind: 'directory'; readonly message: DirectoryMessage }

/** What went wrong since the start, by kind. */
export interface HubCounters {
  malformed: number
  refused: number
  signals: number
  /** Beyond the budgets of their senders, or too many for a receiver that reads slowly. */
  droppedSignals: number
}
