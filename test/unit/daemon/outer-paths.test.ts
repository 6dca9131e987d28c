import { beforeEach, describe, expect, it } from 'vitest'
import { OuterPaths } from '../../../src/daemon/outer-paths.js'
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
    paths = new OuterPaths((path) => (source === 'none' ? undefined : { ...path, local: ip(source) }))
  })

  it('are used from another address where the kernel would choose wrong, and anew when that changes', () => {
    expect(paths.set(0, TO_PEER)).toEqual({ ...TO_PEER, local: ip('192.0.2.7') })
    expect(paths.review()).toEqual([])
    source = '192.0.2.8'
    expect(paths.review()).toEqual([[0, { ...TO_PEER, local: ip('192.0.2.8') }]])
    source = 'none'
    expect(paths.review()).toEqual([[0, undefined]])
    expect([paths.review(), paths.of(TO_PEER)]).toEqual([[], undefined])
    source = '192.0.2.7'
    expect(paths.review()).toEqual([[0, { ...TO_PEER, local: ip('192.0.2.7') }]])
  })

  it('are as they are where they have no address, and forgotten with their peer', () => {
    paths.addFramePort(9)
    expect(paths.set(0, FRAMES)).toBe(FRAMES)
    paths.set(1, TO_PEER)
    paths.set(1, undefined)
    source = '192.0.2.8'
    expect(paths.review()).toEqual([])
  })
})
