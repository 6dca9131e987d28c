/**
 * Why the data plane dropped something. Each drop increments one counter of the peer's block, or of
 * the device's block where no peer is known. Order is layout: native code uses the same numbers.
 */

export const DROP_REASONS = [
  'malformedDatagram', // in: shorter than a transport message, or a length that cannot be
  'unknownReceiver', // in: receiver index of no live keypair
  'keypairExpired', // in or out: older than REJECT_AFTER_TIME or over REJECT_AFTER_MESSAGES
  'authenticationFailed', // in: the AEAD refused
  'replayed', // in: counter seen, or behind the window
  'malformedPacket', // in or out: inner bytes are no IPv4 or IPv6 packet
  'sourceNotAllowed', // in: inner source outside the peer's allowed IPs
  'noAllowedIp', // out: no peer has the destination
  'noPath', // out: the peer has no endpoint yet
  'stagedOverflow', // out: the oldest packet gave way while a handshake ran
  'handshakeFailed', // out: staged packets given up with the handshake
  'innerWriteFailed', // in: the TUN did not take the packet
  'outerSendFailed', // out: the socket did not take the datagram
  'controlOverflow', // in: handshake and control datagrams over the bound of the event queue
  'frameOverflow', // out: messages for a relay that gave way to newer ones
  'routingLoop', // out: an outer datagram of ours that was routed into the inner interface (the kernel: ELOOP)
] as const

export type DropReason = (typeof DROP_REASONS)[number]

/** Index of a reason in the drop counters. */
export const DROP: Readonly<Record<DropReason, number>> = Object.freeze(
  Object.fromEntries(DROP_REASONS.map((reason, i) => [reason, i])) as Record<DropReason, number>,
)
