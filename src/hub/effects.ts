/** What a hub wants done, in the order given. */

import type { HubMessage } from '../control/messages.js'

/** Names a control session; never used again. */
export type SessionId = number

export type HubEffect =
  | { readonly kind: 'send'; readonly session: SessionId; readonly message: HubMessage }
  /** After what was sent before. */
  | { readonly kind: 'close'; readonly session: SessionId }
  /** A node is none any more: relays of this process let it go. */
  | { readonly kind: 'revoke'; readonly identity: string }
