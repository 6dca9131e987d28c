/** Live views of what one peer sends and gets: of its slot in the data plane for the timers, and for its path finder. */

import type { BlockFieldName, PeerBlocks } from '../dataplane/peer-block.js'
import type { Path } from '../net/path.js'
import type { PeerActivity } from '../paths/finder-types.js'
import type { Peer } from '../wireguard/peer.js'
import type { TransportActivity } from '../wireguard/timers.js'

export class SlotActivity implements TransportActivity {
  readonly #blocks: PeerBlocks
  readonly #slot: number

  constructor(blocks: PeerBlocks, slot: number) {
    this.#blocks = blocks
    this.#slot = slot
  }

  get lastSendMs(): number {
    return this.#get('lastSendMs')
  }
  get lastDataSendMs(): number {
    return this.#get('lastDataSendMs')
  }
  get firstUnansweredSendMs(): number {
    return this.#get('firstUnansweredSendMs')
  }
  get lastReceiveMs(): number {
    return this.#get('lastReceiveMs')
  }
  get lastDataReceiveMs(): number {
    return this.#get('lastDataReceiveMs')
  }
  get firstUnansweredReceiveMs(): number {
    return this.#get('firstUnansweredReceiveMs')
  }

  #get(field: BlockFieldName): number {
    return this.#blocks.get(this.#slot, field)
  }
}

/** Valid as long as the peer is there. */
export class LivePeerActivity extends SlotActivity implements PeerActivity {
  readonly #peer: Peer

  constructor(blocks: PeerBlocks, peer: Peer) {
    super(blocks, peer.slot)
    this.#peer = peer
  }

  get keypairMs(): number {
    return this.#peer.keypairMs
  }
  get initiationMs(): number {
    return this.#peer.initiationMs
  }
  get responsePath(): Path | undefined {
    return this.#peer.responsePath
  }
}
