import { describe, expect, it } from 'vitest'
import { ERROR_CODES, PlatformError } from '../../../src/base/errors.js'
import { callNative, errnoOf } from '../../../src/platform/native-error.js'

function failing(errno: string): () => never {
  return () => {
    throw Object.assign(new Error(`ioctl: ${errno}`), { errno, syscall: 'ioctl' })
  }
}

function caught(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

describe('callNative', () => {
  it('gives what the call gives', () => {
    expect(callNative('add', () => 3)).toBe(3)
  })

  it('says what failed, why, and where', () => {
    const error = caught(() => callNative('open x', failing('ENODEV'), { ENODEV: 'sudo modprobe tun' }))
    expect(error).toBeInstanceOf(PlatformError)
    expect(error).toMatchObject({
      message: 'cannot open x: ENODEV (ioctl)',
      errno: 'ENODEV',
      syscall: 'ioctl',
      hint: 'sudo modprobe tun',
      code: ERROR_CODES.platform,
    })
    expect(errnoOf(error)).toBe('ENODEV')
  })

  it.each(['EPERM', 'EACCES'])('tells how to get the privilege on %s', (errno) => {
    expect(caught(() => callNative('open x', failing(errno)))).toMatchObject({
      code: ERROR_CODES.permission,
      hint: 'run as root, or: sudo setcap cap_net_admin+ep $(which node)',
    })
  })

  it('lets other errors through unchanged', () => {
    const error = new TypeError('a programming error')
    const call = () => {
      throw error
    }
    expect(caught(() => callNative('open x', call))).toBe(error)
    expect(errnoOf(error)).toBeUndefined()
  })
})
