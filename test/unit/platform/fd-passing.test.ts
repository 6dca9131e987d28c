import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  acceptFdSocket,
  connectFdSocket,
  listenForFds,
  openFdPair,
  receiveFd,
  sendFd,
} from '../../../src/platform/fd-passing.js'

let directory = ''
let fds: number[] = []

function own(fd: number): number {
  fds.push(fd)
  return fd
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlay-fd-'))
})

afterEach(() => {
  for (const fd of fds) closeSync(fd)
  fds = []
  rmSync(directory, { recursive: true })
})

function expectPasses(from: number, to: number): void {
  const file = join(directory, 'file')
  writeFileSync(file, 'hello')
  const original = openSync(file, 'r')
  sendFd(from, original)
  closeSync(original)
  const bytes = Buffer.alloc(5)
  readSync(own(receiveFd(to)), bytes)
  expect(bytes.toString()).toBe('hello')
}

describe('passing a descriptor', () => {
  it('works over a pair', () => {
    const [left, right] = openFdPair()
    expectPasses(own(left), own(right))
  })

  it('works over a path', () => {
    const path = join(directory, 'socket')
    const listener = own(listenForFds(path))
    const client = own(connectFdSocket(path))
    expectPasses(client, own(acceptFdSocket(listener)))
  })

  it('waits no longer than asked', () => {
    const [left, right] = openFdPair()
    own(right)
    expect(() => receiveFd(own(left), 1)).toThrow('cannot receive a descriptor: ETIMEDOUT')
    expect(() => acceptFdSocket(own(listenForFds(join(directory, 'socket'))), 1)).toThrow('ETIMEDOUT')
  })

  it('tells when the other side is gone or never was', () => {
    const [left, right] = openFdPair()
    closeSync(right)
    expect(() => receiveFd(own(left))).toThrow('ECONNRESET')
    expect(() => connectFdSocket(join(directory, 'nobody'))).toThrow('ENOENT')
  })

  it('refuses a path that is taken, and says which', () => {
    const path = join(directory, 'socket')
    own(listenForFds(path))
    expect(() => listenForFds(path)).toThrow(`cannot listen on ${path}: EADDRINUSE`)
  })
})
