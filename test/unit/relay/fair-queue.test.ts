import { expect, it } from 'vitest'
import { FairQueue } from '../../../src/relay/fair-queue.js'
import { Outbox } from '../../../src/relay/outbox.js'

interface Item {
  readonly sender: number
  readonly order: number
  readonly length: number
}

function fill(queue: FairQueue<Item>, sender: number, count: number, length: number): number {
  let dropped = 0
  for (let order = 0; order < count; order++) dropped += queue.push({ sender, order, length }, sender)
  return dropped
}

function drain(queue: { shift: () => Item | undefined }): Item[] {
  const items: Item[] = []
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item)
  return items
}

it('serves senders in turn by bytes, however much and in whatever sizes each has sent', () => {
  const queue = new FairQueue<Item>(1 << 20)
  fill(queue, 1, 8, 60_000)
  fill(queue, 2, 200, 1400)
  const bytes = [0, 0]
  for (let sum = 0; sum < 400_000; ) {
    const item = queue.shift()
    if (item === undefined) break
    sum += item.length
    bytes[item.sender - 1] = (bytes[item.sender - 1] ?? 0) + item.length
  }
  const [large = 0, small = 0] = bytes
  expect(Math.abs(large - small)).toBeLessThan(100_000)
  const rest = drain(queue)
  for (const sender of [1, 2]) {
    const orders = rest.filter((item) => item.sender === sender).map(({ order }) => order)
    expect(orders).toEqual(orders.toSorted((a, b) => a - b))
  }
})

it('takes from whoever has most in it when it is full, the oldest first', () => {
  const queue = new FairQueue<Item>(100_000)
  fill(queue, 2, 3, 1000)
  const dropped = fill(queue, 1, 1000, 1000)
  expect(dropped).toBeGreaterThan(800)
  const left = drain(queue)
  expect(left.filter(({ sender }) => sender === 2)).toHaveLength(3)
  expect(left.findLast(({ sender }) => sender === 1)?.order).toBe(999)
  expect(left.find(({ sender }) => sender === 1)?.order).toBe(dropped)
})

it('bounds tiny items as well, and is empty when all is out', () => {
  const queue = new FairQueue<Item>(64 * 1024)
  fill(queue, 1, 20_000, 1)
  expect(drain(queue).length).toBeLessThan(600)
  expect(queue.shift()).toBeUndefined()
  fill(queue, 1, 2, 1)
  expect(drain(queue)).toHaveLength(2)
})

it('leaves nothing of an item that is larger than all of it', () => {
  const queue = new FairQueue<Item>(1000)
  expect(fill(queue, 1, 1, 2000)).toBe(1)
  expect(queue.shift()).toBeUndefined()
})

it('lets control go ahead of data, each with its own bound', () => {
  const outbox = new Outbox<Item>()
  for (let order = 0; order < 1000; order++) outbox.push({ sender: 1, order, length: 1400 }, false, 1)
  outbox.push({ sender: 2, order: 0, length: 148 }, true, 2)
  const items = drain(outbox)
  expect(items[0]).toMatchObject({ sender: 2 })
  expect(items.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(300 * 1024)
})
