/** What a finished handshake leaves: keys and indices of one keypair, ready to be installed. */

export interface KeypairMaterial {
  /** Receiver index of messages to us; unique among live keypairs of the device. */
  readonly localIndex: number
  /** Receiver index the remote chose for messages to it. */
  readonly remoteIndex: number
  /** owned: by whoever the keypair is installed in, who wipes both keys. */
  readonly sendKey: Uint8Array
  readonly receiveKey: Uint8Array
  /** True if we sent the initiation: then the keypair may carry data at once. */
  readonly isInitiator: boolean
  readonly createdAtMs: number
  /** Counter of the first message to send: 0, unless a test begins near a limit. */
  readonly firstCounter?: bigint
}
