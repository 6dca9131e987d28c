/**
 * Why a handshake message was not acted upon. One counter each; nothing else remembers a rejected
 * message. (Drops of transport messages: src/dataplane/drop-reasons.ts.)
 */

export type HandshakeDropReason =
  | 'handshakeMalformed' // no WireGuard message of types 1–3, or a wrong length
  | 'handshakeMac1Invalid' // sender does not know our public key
  | 'handshakeQueueFull' // MAX_QUEUED_HANDSHAKES wait already
  | 'handshakeCookieRequired' // under load and no valid mac2: a cookie reply was sent instead
  | 'handshakeRateLimited' // under load, and this source sends too many
  | 'handshakeUnknownPeer' // static key of no peer, or it did not authenticate
  | 'handshakeReplayed' // timestamp not later than the last one accepted
  | 'handshakeFlood' // initiations of one peer closer together than INITIATION_MIN_INTERVAL
  | 'handshakeUnknownIndex' // response or cookie reply to no initiation of ours
  | 'handshakeInvalid' // a response that did not authenticate
  | 'handshakeCookieInvalid' // a cookie reply that did not authenticate
