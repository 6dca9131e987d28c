/**
 * The native data plane against its portable twin: same inputs, same outputs bit for bit, drops and
 * counters included. And two native planes back to back, where trains and super-packets pass between.
 */

import { afterEach, expect, test } from 'vitest'
import { DROP_REASONS } from '../../../src/dataplane/drop-reasons.js'
import { nodeCrypto } from '../../../src/wireguard/crypto-node.js'
import { addPeers, type DataPlaneHarness, FarEnd, pathTo } from '../../support/data-plane-harness.js'
import { inNamespace } from '../../support/in-namespace.js'
import { createNativeHarness, type NativeHarness, prepareNamespace } from '../../support/native-harness.js'
import { PacketMix } from '../../support/packet-mix.js'
import { createPortableHarness } from '../../support/portable-harness.js'
import { splitSuperPacket } from '../../support/virtio.js'

const SLOTS = [0, 1, 2] as const
const ROUNDS = 25
const PER_ROUND = 60
/** What a UDP datagram can carry of a packet, with header, tag and padding. */
const MAX_BYTES = 65_400
const HERE = ['10.9.0.1', 'fd00:9::1']
const THERE = [
  ...SLOTS.flatMap((slot) => [`10.0.${slot}.5`, `fd00:${slot}::5`]),
  // Nobody's.
  '192.0.2.1',
  '2001:db8:ffff::1',
]

function prepare(harness: DataPlaneHarness): FarEnd[] {
  addPeers(harness, ...SLOTS)
  harness.plane.setPath(1, pathTo(harness.v6))
  harness.plane.setPath(2, pathTo(harness.v4, 1))
  return SLOTS.map((slot) => {
    const far = new FarEnd(harness, { localIndex: 100 + slot })
    far.install(slot)
    return far
  })
}

/** What each peer was sent, in order; and every counter. */
async function sentBy(harness: DataPlaneHarness): Promise<Record<string, unknown>> {
  const datagrams = await harness.takeDatagrams()
  const byPeer = SLOTS.map((slot) =>
    datagrams
      .filter(
        ({ bytes }) =>
          new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) === remoteIndexOf(slot),
      )
      .map(({ bytes, tos }) => `${tos} ${Buffer.from(bytes).toString('base64')}`),
  )
  return { byPeer, ...countersOf(harness) }
}

function remoteIndexOf(slot: number): number {
  return ((100 + slot) ^ 0xa0b0c0d0) >>> 0
}

function countersOf(harness: DataPlaneHarness): Record<string, unknown> {
  const { blocks } = harness.plane
  const fields = ['txBytes', 'txMessages', 'rxBytes', 'rxMessages', 'sendCounter'] as const
  return {
    counters: SLOTS.map((slot) => fields.map((field) => blocks.get(slot, field))),
    drops: [...SLOTS, blocks.deviceSlot].map((slot) => blocks.drops(slot)),
  }
}

/**
 * Packets by flow, in their order: between flows there is none. The identification of packets that must
 * not be fragmented has no meaning (RFC 6864), and merging does not keep it.
 */
function byFlow(packets: readonly Uint8Array[]): Record<string, string[]> {
  const flows: Record<string, string[]> = {}
  for (const packet of packets) {
    const isV4 = (packet[0] as number) >> 4 === 4
    const addresses = isV4 ? packet.subarray(12, 20) : packet.subarray(8, 40)
    const ports = packet.subarray(isV4 ? 20 : 40, isV4 ? 24 : 44)
    const normal = packet.slice()
    if (isV4 && ((packet[6] as number) & 0x40) !== 0) normal.fill(0, 4, 6).fill(0, 10, 12)
    const name = `${Buffer.from(addresses).toString('hex')} ${packet[isV4 ? 9 : 6]} ${Buffer.from(ports).toString('hex')}`
    flows[name] ??= []
    flows[name].push(Buffer.from(normal).toString('base64'))
  }
  return flows
}

inNamespace(import.meta.url, () => {
  prepareNamespace()
  const open: DataPlaneHarness[] = []
  afterEach(async () => {
    for (const harness of open.splice(0)) await harness.stop()
  })
  const opened = <T extends DataPlaneHarness>(harness: T): T => {
    open.push(harness)
    return harness
  }

  for (const hasOffloads of [true, false]) {
    for (const threads of [1, 3]) {
      const name = `${hasOffloads ? 'offloads' : 'no offloads'}, ${threads} threads`

      test(`sends what its twin sends: ${name}`, async () => {
        const native = opened(await createNativeHarness({ hasOffloads, threads }))
        const portable = opened(await createPortableHarness(nodeCrypto))
        prepare(native)
        prepare(portable)
        const mix = new PacketMix({ seed: 1, sources: HERE, destinations: THERE, maxBytes: MAX_BYTES })
        for (let round = 0; round < ROUNDS; round++) {
          const messages = hasOffloads ? mix.messages(PER_ROUND) : mix.packets(PER_ROUND)
          await native.injectRaw(...messages)
          await portable.injectPackets(...(hasOffloads ? messages.flatMap(splitSuperPacket) : messages))
          expect(await sentBy(native)).toEqual(await sentBy(portable))
        }
        expect(native.plane.blocks.get(0, 'txMessages')).toBeGreaterThan(400)
      })

      test(`writes what its twin writes: ${name}`, async () => {
        const native = opened(await createNativeHarness({ hasOffloads, threads }))
        const portable = opened(await createPortableHarness(nodeCrypto))
        const ends = prepare(native)
        prepare(portable)
        const mix = new PacketMix({ seed: 2, sources: THERE, destinations: HERE, maxBytes: MAX_BYTES })
        const old: Uint8Array[] = []
        const sealed = (packet: Uint8Array): { slot: number; bytes: Uint8Array; tos: number } => {
          const slot = mix.below(SLOTS.length)
          const bytes = (ends[slot] as FarEnd).seal(mix.below(40) === 0 ? new Uint8Array(0) : packet)
          const before = old[slot] ?? bytes
          old[slot] = bytes
          switch (mix.below(30)) {
            case 0:
              return {
                slot,
                bytes: Uint8Array.from(bytes, (byte, i) => (i === 20 ? byte ^ 1 : byte)),
                tos: 0,
              }
            case 1:
              return { slot, bytes: Uint8Array.from(bytes, (byte, i) => (i === 5 ? byte ^ 1 : byte)), tos: 0 }
            case 2:
              return { slot, bytes: before, tos: 0 }
            case 3:
              return { slot, bytes: bytes.subarray(0, 20), tos: 0 }
            default:
              return { slot, bytes, tos: mix.below(4) }
          }
        }
        for (let round = 0; round < ROUNDS; round++) {
          const inputs = mix.packets(PER_ROUND).map(sealed)
          for (const harness of [native, portable]) {
            const datagrams = inputs.map(({ slot, bytes, tos }) => {
              const from = (slot === 1 ? harness.v6 : harness.v4).remotes[slot === 2 ? 1 : 0]
              return { from, bytes, tos }
            })
            await harness.injectDatagrams(datagrams)
          }
          expect(byFlow(await native.takePackets())).toEqual(byFlow(await portable.takePackets()))
          expect(countersOf(native)).toEqual(countersOf(portable))
        }
        const seen = Object.keys(native.plane.blocks.drops(0))
        for (const reason of ['authenticationFailed', 'malformedPacket', 'sourceNotAllowed'] as const) {
          expect(DROP_REASONS).toContain(reason)
          expect(seen).toContain(reason)
        }
      })
    }
  }

  test.each([1, 3])(
    'super-packets come out of another native plane as they went in, %i threads',
    async (threads) => {
      const sender = opened(await createNativeHarness({ hasOffloads: true, threads }))
      const receiver = opened(await createNativeHarness({ hasOffloads: true, threads }))
      connect(sender, receiver)
      const mix = new PacketMix({
        seed: 3,
        sources: ['10.0.0.5', 'fd00:0::5'],
        destinations: ['10.0.0.9', 'fd00:0::9'],
        maxBytes: MAX_BYTES,
      })
      for (let round = 0; round < ROUNDS; round++) {
        const messages = mix.messages(PER_ROUND / 2)
        await sender.injectRaw(...messages)
        const before = sender.plane.blocks.get(0, 'txMessages')
        while (receiver.plane.blocks.get(0, 'rxMessages') < before) await receiver.pass(0)
        const lost = sender.plane.blocks.drops(sender.plane.blocks.deviceSlot)
        expect(
          Object.keys(lost).filter((reason) => !['malformedPacket', 'noAllowedIp'].includes(reason)),
        ).toEqual([])
        const came = await receiver.takePackets()
        expect(Object.keys(receiver.plane.blocks.drops(0))).not.toContain('innerWriteFailed')
        const sent = messages.flatMap(splitSuperPacket).flatMap(passedOn)
        expect(byFlow(came)).toEqual(byFlow(sent))
      }
      expect(receiver.plane.blocks.get(0, 'rxMessages')).toBeGreaterThan(2000)
    },
  )
})

/** Both send to each other over the v4 sockets, and allow everything of the mix. */
function connect(a: NativeHarness, b: NativeHarness): void {
  const far = { localIndex: 77 }
  for (const [harness, other] of [
    [a, b],
    [b, a],
  ] as const) {
    addPeers(harness, 0)
    harness.plane.setPath(0, {
      socket: harness.v4.socket,
      remote: { address: other.v4.locals[0], port: other.v4.port, scopeId: 0 },
      local: undefined,
    })
    const material = new FarEnd(harness, far).material()
    harness.plane.installKeypair(0, {
      ...material,
      remoteIndex: far.localIndex,
      sendKey: new Uint8Array(32).fill(1),
      receiveKey: new Uint8Array(32).fill(1),
    })
  }
}

/** What comes of a packet: itself, without what stands behind its end; nothing if it leads nowhere. */
function passedOn(packet: Uint8Array): Uint8Array[] {
  const version = packet.length < 20 ? 0 : (packet[0] as number) >> 4
  if (version !== 4 && (version !== 6 || packet.length < 40)) return []
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length)
  const length = version === 4 ? view.getUint16(2) : view.getUint16(4) + 40
  const destination = version === 4 ? packet.subarray(16, 19) : packet.subarray(24, 32)
  const source = version === 4 ? packet.subarray(12, 15) : packet.subarray(8, 16)
  const own = version === 4 ? [10, 0, 0] : [0xfd, 0, 0, 0, 0, 0, 0, 0]
  const isOwn = (address: Uint8Array): boolean => own.every((byte, i) => address[i] === byte)
  const isPassed = length >= 20 && length <= packet.length && isOwn(destination) && isOwn(source)
  return isPassed ? [packet.subarray(0, length)] : []
}
