import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { LinkWatch } from '../../../src/daemon/link-watch.js'
import type { NetworkEvent } from '../../../src/platform/link-events.js'
import type { LinkInfo } from '../../../src/platform/network.js'
import type { TunPlace } from '../../../src/platform/tun.js'

const LINK: LinkInfo = { name: 'wg0', index: 7, mtu: 1420, isUp: true, isTunnel: true, alias: '' }
const HOME: TunPlace = { namespace: 'net:[1]', isAway: false, link: LINK }
const AWAY: TunPlace = { namespace: 'net:[2]', isAway: true, link: { ...LINK, isUp: false } }

interface Scene {
  place: TunPlace | undefined
  readonly watch: LinkWatch
  readonly told: string[]
  tell(event: NetworkEvent): void
}

/** An interface at home, and what is told of it. */
function setScene(): Scene {
  const told: string[] = []
  let listener: (event: NetworkEvent) => void = () => undefined
  const scene = { place: HOME as TunPlace | undefined, told, tell: (event: NetworkEvent) => listener(event) }
  const watch = new LinkWatch({
    tun: { locate: () => scene.place },
    watch: (listen) => {
      listener = listen
      return { stop: () => told.push('stopped') }
    },
    onLink: ({ isUp, mtu }) => told.push(`${isUp ? 'up' : 'down'} ${mtu}`),
    onMoved: ({ namespace }) => told.push(`moved to ${namespace}`),
    onGone: () => told.push('gone'),
  })
  return Object.assign(scene, { watch })
}

function linkEvent(index: number, removed = false): NetworkEvent {
  return { kind: 'link', removed, ...LINK, index }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('asks again when something happened to the interface, and for no other', () => {
  const scene = setScene()
  scene.tell(linkEvent(8))
  expect(scene.told).toEqual([])
  scene.place = { ...HOME, link: { ...LINK, mtu: 1300 } }
  scene.tell(linkEvent(7))
  expect(scene.told).toEqual(['up 1300'])
})

it('follows the interface into another namespace, where no events come from, and back', () => {
  const scene = setScene()
  scene.place = AWAY
  scene.tell(linkEvent(7, true))
  expect(scene.told.splice(0)).toEqual(['moved to net:[2]', 'down 1420'])
  expect(scene.watch.isAway).toBe(true)
  scene.place = { ...AWAY, link: { ...LINK, index: 40 } }
  vi.advanceTimersByTime(1000)
  expect(scene.told).toContain('up 1420')
  scene.told.length = 0
  scene.place = { ...HOME, link: { ...LINK, index: 9 } }
  scene.tell(linkEvent(9))
  expect(scene.told.splice(0)).toEqual(['moved to net:[1]', 'up 1420'])
  expect(scene.watch.isAway).toBe(false)
  expect(vi.getTimerCount()).toBe(0)
  scene.tell(linkEvent(7, true))
  expect(scene.told, 'another interface had its old index').toEqual([])
})

it('tells once that the interface is gone, here or elsewhere', () => {
  const here = setScene()
  here.place = undefined
  here.tell(linkEvent(7, true))
  here.tell({ kind: 'lost' })
  expect(here.told).toEqual(['stopped', 'gone'])

  const elsewhere = setScene()
  elsewhere.place = AWAY
  elsewhere.tell(linkEvent(7, true))
  elsewhere.told.length = 0
  elsewhere.place = undefined
  vi.advanceTimersByTime(5000)
  expect(elsewhere.told).toEqual(['stopped', 'gone'])
  expect(vi.getTimerCount()).toBe(0)
})

it('goes on where it may not look, as long as the interface lives', () => {
  const scene = setScene()
  scene.place = { ...AWAY, link: undefined }
  scene.tell(linkEvent(7, true))
  vi.advanceTimersByTime(5000)
  expect(scene.told).toEqual(['moved to net:[2]'])
  scene.watch.stop()
  expect(vi.getTimerCount()).toBe(0)
})
