import { beforeEach, describe, expect, it } from 'vitest'
import { OuterPaths } from '../../../src/daemon/outer-paths.js'
import { PathReview } from '../../../src/daemon/path-review.js'
import type { Path } from '../../../src/net/path.js'
import { ip } from '../../support/inner-packets.js'
import { endpoint } from '../../support/simulated-nat.js'

const TO_PEER: Path = { socket: 1, remote: endpoint('203.0.113.1', 51_820), local: undefined }
const FRAMES: Path = { socket: 9, remote: endpoint('fd00::1', 1), local: undefined }

describe('the paths of peers', () => {
  /** What is to be sent from; `none`: nothing can be. */
  let source: string
  let paths: OuterPaths

  beforeEach(() => {
    source = '192.0.2.7'
    paths = new OuterPaths({
      choose: (path) => (source === 'none' ? undefined : { ...path, local: ip(source) }),
      linkTo: () => undefined,
      hasAddress: () => false,
    })
  })

  it('are used from another address where the kernel would choose wrong, and anew when that changes', () => {
    expect(paths.set(0, TO_PEER)).toEqual({ ...TO_PEER, local: ip('192.0.2.7') })
    expect(paths.review(0)).toBe(undefined)
    source = '192.0.2.8'
    expect(paths.review(0)).toEqual({ path: { ...TO_PEER, local: ip('192.0.2.8') } })
    source = 'none'
    expect(paths.review(0)).toEqual({ path: undefined })
    expect([paths.review(0), paths.of(TO_PEER)]).toEqual([undefined, undefined])
    source = '192.0.2.7'
    expect(paths.review(0)).toEqual({ path: { ...TO_PEER, local: ip('192.0.2.7') } })
  })

  it('are as they are where they have no address, and forgotten with their peer', () => {
    paths.addFramePort(9)
    expect(paths.set(0, FRAMES)).toBe(FRAMES)
    paths.set(1, TO_PEER)
    paths.set(1, undefined)
    paths.set(2, TO_PEER)
    paths.remove(2)
    source = '192.0.2.8'
    expect(paths.slots.map((slot) => paths.review(slot))).toEqual([undefined])
  })
})

describe('an address that a peer wrote to', () => {
  const OLD: Path = { ...TO_PEER, local: ip('192.0.2.1') }
  const NEW: Path = { ...TO_PEER, local: ip('198.51.100.1') }
  /** Over which link the route leads. */
  let link: number | undefined
  let paths: OuterPaths
  let review: PathReview
  let told: unknown[]

  beforeEach(() => {
    link = 2
    told = []
    paths = new OuterPaths({
      choose: (path) => path,
      linkTo: () => link,
      hasAddress: (on, address) => on === 3 && address.bytes[0] === 198,
    })
    review = new PathReview(paths, {
      setPath: (slot, path) => told.push([slot, path?.local]),
      forgetLocalAddress: (slot) => told.push(`forgot ${slot}`),
    })
  })

  function reviewAt(nowMs: number): unknown[] {
    if (nowMs === 0) review.start(0, [])
    else review.handleTimeout(nowMs, [])
    return told.splice(0)
  }

  it('is kept as long as the route leads over the same link, and where there is no route', () => {
    paths.learnt(0, OLD)
    expect(reviewAt(0)).toEqual([])
    link = undefined
    expect(reviewAt(0)).toEqual([])
    link = 2
    expect(reviewAt(0)).toEqual([])
  })

  it('is forgotten when the route leads over another link, and late messages to it do not bring it back', () => {
    paths.learnt(0, OLD)
    link = 3
    expect(reviewAt(0)).toEqual(['forgot 0', [0, undefined]])
    expect(paths.learnt(0, OLD), 'the peer does not know yet').toBe(true)
    review.addSoon(0, 10)
    expect(review.nextDeadlineMs).toBe(60)
    expect(reviewAt(60)).toEqual(['forgot 0', [0, undefined]])
    expect(paths.set(0, OLD), 'a handshake message to it').toEqual({ ...OLD, local: undefined })
    expect(paths.learnt(0, NEW)).toBe(false)
    expect(paths.learnt(0, OLD), 'overtaken on its way').toBe(true)
    link = 2
    expect(paths.learnt(0, OLD), 'the route is back').toBe(false)
    expect(review.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY)
  })

  it('is kept if it is one of the link that the route leads over now', () => {
    paths.learnt(0, NEW)
    link = 3
    expect(reviewAt(0)).toEqual([])
  })

  it('is kept where others find the path', () => {
    paths.setRoaming(0, false)
    paths.set(0, OLD)
    link = 3
    expect(reviewAt(0)).toEqual([])
    paths.remove(0)
    paths.learnt(0, OLD)
    link = 2
    expect(reviewAt(0), 'but not for the next in its slot').toEqual(['forgot 0', [0, undefined]])
  })

  it('is looked at for some peers at a time', () => {
    for (let slot = 0; slot < 600; slot++) paths.learnt(slot, OLD)
    link = 3
    const turns = [reviewAt(0), reviewAt(1), reviewAt(2)].map((all) => all.length / 2)
    expect(turns).toEqual([256, 256, 88])
    expect(review.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY)
  })
})
