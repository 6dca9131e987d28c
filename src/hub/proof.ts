/** What a node has to prove: that it holds its identity, in this session, and that its tunnel keys are its own. */

import { tryParseBase64 } from '../base/bytes.js'
import { isSignedBy, tryParseIdentity } from '../control/identity.js'
import { type Hello, PROOF_LABEL } from '../control/messages.js'
import { type SignedTunnelKeys, verifyTunnelKey } from '../control/tunnel-key.js'

export function isHelloProven(hello: Hello, handshakeHash: Uint8Array, wallNowMs: number): boolean {
  const identity = tryParseIdentity(hello.identity)
  const proof = tryParseBase64(hello.proof)
  return (
    identity !== undefined &&
    proof !== undefined &&
    isSignedBy(identity, proof, PROOF_LABEL, handshakeHash) &&
    areKeysValid(identity, hello, wallNowMs)
  )
}

export function areKeysValid(identity: Uint8Array, keys: SignedTunnelKeys, wallNowMs: number): boolean {
  const { tunnelKey, previousTunnelKey } = keys
  const isPreviousValid =
    previousTunnelKey === undefined ||
    'key' in verifyTunnelKey(identity, previousTunnelKey, wallNowMs, 'previous')
  return isPreviousValid && 'key' in verifyTunnelKey(identity, tunnelKey, wallNowMs)
}

/** A node that was off for long may still offer the key that it had before. */
export function withoutExpired(hello: Hello, wallNowMs: number): Hello {
  const { previousTunnelKey, ...rest } = hello
  return previousTunnelKey === undefined || previousTunnelKey.notAfter * 1000 > wallNowMs ? hello : rest
}
