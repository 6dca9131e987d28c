/**
 * How much of the audit record each may fill. What people decide has a part of its own; of what nodes cause by
 * themselves each node and kind of event has a share, the oldest giving way, so that no node washes out what
 * was decided, what others did, or what it did itself before.
 */

const NODE_EVENTS: ReadonlySet<string> = new Set([
  'node.enrolled',
  'node.left',
  'node.expired',
  'node.key_changed',
  'node.troubled',
  'consent.given',
  'consent.revoked',
])

/** Of one subject and event. */
export const MAX_AUDIT_SHARE = 50
/** Of all that people decided, and of all that nodes caused. */
export const MAX_AUDIT_PART = 50_000

export function isCausedByNode(event: string): boolean {
  return NODE_EVENTS.has(event)
}
