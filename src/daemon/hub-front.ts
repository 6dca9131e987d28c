/**
 * The front of a hub: the process that listens (front-protocol.ts). A flood, a loaded relay or a fault in here
 * stops no decision of the hub; and a hub that is busy stops nothing that is relayed.
 *
 * INVARIANT: it never outlives the hub. The channel to it ends when the hub does, however it ended.
 */

import { randomBytes } from 'node:crypto'
import type { DirectoryMessage } from '../control/directory.js'
import { identityFromSeed } from '../control/identity.js'
import { bridgeControl } from '../hub/io/control-bridge.js'
import { FrontDoor } from '../hub/io/front-door.js'
import { StunServer } from '../hub/io/stun-server.js'
import { tryParseIp } from '../net/ip.js'
import { bootNowMs, wallNowMs } from '../platform/clock.js'
import { forbidDumps } from '../platform/dumps.js'
import { HubDirectory } from '../relay/hub-directory.js'
import { RelayServer } from '../relay/io/relay-server.js'
import { nodeCrypto } from '../wireguard/crypto-node.js'
import { failureOf } from './api-failure.js'
import type { FrontMessage, FrontOrder, FrontPlan, FrontStatus } from './front-protocol.js'
import { processUsage } from './process-usage.js'

const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

/** Resolves when it was told to stop, got SIGTERM, or the hub is gone. */
export async function runFront(): Promise<void> {
  forbidDumps()
  const stack: (() => unknown)[] = []
  const ended = untilEnd()
  let front: Front | undefined
  process.on('message', (order: FrontOrder) => {
    if (order.kind === 'open') front = new Front(order.plan)
    else if (order.kind === 'directory') front?.apply(order.message)
    else if (order.kind === 'report' && front !== undefined) tell({ kind: 'status', status: front.status() })
    else if (order.kind === 'listen') {
      front?.start(stack).then(
        () => tell({ kind: 'ready' }),
        (error: unknown) => tell({ kind: 'failed', failure: failureOf(error) }),
      )
    }
  })
  await ended
  for (const undo of stack.reverse()) await undo()
  if (process.connected) process.disconnect()
}

/** A terminal tells its interrupt to all processes of the command; the hub then says what to do. */
async function untilEnd(): Promise<void> {
  process.on('SIGINT', () => undefined)
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve()).once('disconnect', () => resolve())
    process.on('message', (order: FrontOrder) => {
      if (order.kind === 'stop') resolve()
    })
  })
}

function tell(message: FrontMessage): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
}

class Front {
  readonly #plan: FrontPlan
  readonly #directory: HubDirectory
  readonly #relay: RelayServer
  #door: FrontDoor | undefined
  #stun: StunServer | undefined

  constructor(plan: FrontPlan) {
    this.#plan = plan
    const { relaySeed, ticketKey, maxBytesPerS } = plan
    this.#directory = new HubDirectory({ ticketKey, wallNowMs })
    this.#relay = new RelayServer(
      {
        key: identityFromSeed(relaySeed).sessionKey(nodeCrypto),
        crypto: nodeCrypto,
        random,
        directory: this.#directory,
        maxBytesPerS,
      },
      bootNowMs,
    )
  }

  /** Throws PlatformError. */
  async start(stack: (() => unknown)[]): Promise<void> {
    const { port, stunPort, stunAddresses, certificate, controlPath } = this.#plan
    this.#door = await FrontDoor.open({
      host: undefined,
      port,
      certificate,
      onRelay: (stream, remote) => this.#relay.accept(stream, remote),
      onControl: (socket, remote) => bridgeControl(socket, remote, controlPath),
    })
    stack.push(async () => await this.#door?.close())
    this.#stun = await StunServer.open({
      addresses: stunAddresses.flatMap((text) => tryParseIp(text) ?? []),
      ports: [stunPort, stunPort + 1],
      // Where UDP to other ports is blocked, that one may not be; and relays have no other.
      sparePort: port,
      hint: 'choose another with --stun-port',
      nowMs: bootNowMs,
    })
    stack.push(async () => await this.#stun?.close())
    stack.push(() => this.#relay.stop())
  }

  /** The channel never falls silent before this process ends, so the directory is heard all the time. */
  apply(message: DirectoryMessage): void {
    this.#relay.handleDirectoryChange(this.#directory.apply(message))
  }

  status(): FrontStatus {
    const relay = Object.entries(this.#relay.totals()).map(([name, value]) => [`relay.${name}`, value])
    return {
      ...processUsage(),
      relayClients: this.#relay.clientCount,
      counters: Object.fromEntries([
        ['connections.strangers', this.#door?.strangers ?? 0],
        ['connections.turnedAway', this.#door?.turnedAway ?? 0],
        ['stun.answered', this.#stun?.answered ?? 0],
        ['stun.ignored', this.#stun?.ignored ?? 0],
        ...relay,
      ]),
    }
  }
}
