/**
 * Numbers of the protocol, each with unit and source, and numbers of this implementation.
 * "Paper" is the WireGuard whitepaper (Donenfeld, NDSS 2017, revision of 2020).
 */

// --- specification ---------------------------------------------------------------------------

export const KEY_BYTES = 32
export const TAG_BYTES = 16
export const TIMESTAMP_BYTES = 12 // TAI64N
export const MAC_BYTES = 16

export const MESSAGE_INITIATION = 1 // paper section 5.4.2
export const MESSAGE_RESPONSE = 2 // paper section 5.4.3
export const MESSAGE_COOKIE_REPLY = 3 // paper section 5.4.7
export const MESSAGE_TRANSPORT = 4 // paper section 5.4.6

export const INITIATION_BYTES = 148
export const RESPONSE_BYTES = 92
export const COOKIE_REPLY_BYTES = 64
export const TRANSPORT_HEADER_BYTES = 16
/** Transport message of an empty packet: a keepalive. */
export const KEEPALIVE_BYTES: number = TRANSPORT_HEADER_BYTES + TAG_BYTES
/** Inner packets are padded to a multiple of this, but never above the MTU. */
export const PADDING_BYTES = 16

export const REKEY_AFTER_MESSAGES: bigint = 1n << 60n // messages; paper section 6.1
export const REJECT_AFTER_MESSAGES: bigint = (1n << 64n) - (1n << 13n) - 1n // messages; paper section 6.1
export const REKEY_AFTER_TIME_MS = 120_000 // paper section 6.1
export const REJECT_AFTER_TIME_MS = 180_000 // paper section 6.1
export const REKEY_ATTEMPT_TIME_MS = 90_000 // paper section 6.1
export const REKEY_TIMEOUT_MS = 5_000 // paper section 6.1
export const KEEPALIVE_TIMEOUT_MS = 10_000 // paper section 6.1
/** An initiator rekeys on receiving data under a key this old. Paper section 6.2. */
export const REKEY_ON_RECEIVE_MS: number = REJECT_AFTER_TIME_MS - KEEPALIVE_TIMEOUT_MS - REKEY_TIMEOUT_MS
/** Handshake state and keys are wiped this long after the last new keypair. Paper section 6.3. */
export const WIPE_AFTER_MS: number = 3 * REJECT_AFTER_TIME_MS

export const COOKIE_SECRET_MAX_AGE_MS = 120_000 // paper section 5.4.7
export const COOKIE_MAX_AGE_MS = 120_000 // paper section 5.4.4

// --- this implementation ---------------------------------------------------------------------

/** Retransmits are spread by up to this much. The kernel implementation uses the same third of a second. */
export const REKEY_JITTER_MS = 334
/**
 * DEVIATION: to a managed peer the first repetition of an initiation comes after this, each further one after twice
 * the time, up to REKEY_TIMEOUT (paper section 6.4). Such a peer is one of ours, and what carries the first messages
 * to it may have been up for a moment only.
 */
export const MANAGED_RETRY_MS = 1000
/** An initiation to a managed peer that is older than this goes again when its path changes. */
export const PATH_CHANGED_MIN_AGE_MS = 250
/** Initiations from one peer closer together than this are dropped (50 a second at most). */
export const INITIATION_MIN_INTERVAL_MS = 20
/** Size of the replay window in counters, RFC 6479; blocks of 32. */
export const REPLAY_WINDOW_COUNTERS = 8192
/** Packets kept per peer while a handshake runs; the oldest go first. */
export const MAX_STAGED_PACKETS = 128
/** Handshake messages waiting for their turn, for the whole device. */
export const MAX_QUEUED_HANDSHAKES = 4096
export const MAX_PEERS = 65_536
/** DSCP AF41 with ECN off: handshake messages go ahead of bulk traffic where a router cares. */
export const HANDSHAKE_TOS = 0x88
export const DEFAULT_MTU = 1420
/** Outer IPv6 (40) + UDP (8) + transport header (16) + tag (16). */
export const MAX_OVERHEAD_BYTES = 80
