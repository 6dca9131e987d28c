import { describe, expect, test } from 'vitest'
import {
  AppError,
  ConfigError,
  ERROR_CODES,
  exitCodeFor,
  exitCodeOf,
  PlatformError,
  UsageError,
} from '../../../src/base/errors.js'

describe('errors', () => {
  test('codes are distinct', () => {
    const codes = Object.values(ERROR_CODES)
    expect(new Set(codes).size).toBe(codes.length)
  })

  test('an error carries its name, code, hint and cause', () => {
    const cause = new Error('below')
    const error = new AppError(ERROR_CODES.timeout, 'no answer in 5 s', { hint: 'overlay status', cause })
    expect(error).toMatchObject({
      name: 'AppError',
      code: 'TIMED_OUT',
      message: 'no answer in 5 s',
      hint: 'overlay status',
      cause,
    })
    expect(new UsageError('x')).toMatchObject({ name: 'UsageError', hint: '' })
    expect('cause' in new UsageError('x')).toBe(false)
  })

  test('a configuration error tells all faults with their places', () => {
    const error = new ConfigError([
      { file: 'a.conf', line: 3, message: 'unknown key Adress', hint: 'Address?' },
      { file: 'a.conf', line: 0, message: 'no PrivateKey', hint: '' },
    ])
    expect(error.message).toBe('a.conf:3: unknown key Adress (Address?)\na.conf: no PrivateKey')
    expect(error.issues).toHaveLength(2)
  })

  test.each([
    ['EPERM', 'NOT_PERMITTED'],
    ['EACCES', 'NOT_PERMITTED'],
    ['ENODEV', 'PLATFORM_FAILED'],
  ])('%s of the system is %s', (errno, code) => {
    expect(new PlatformError('cannot open', { errno, syscall: 'open' })).toMatchObject({
      code,
      errno,
      syscall: 'open',
    })
  })

  test('each class of error has its exit code', () => {
    const denied = new PlatformError('x', { errno: 'EPERM', syscall: 'open' })
    expect(exitCodeOf(new UsageError('x'))).toBe(2)
    expect(exitCodeOf(new AppError(ERROR_CODES.notRunning, 'x'))).toBe(3)
    expect(exitCodeOf(denied)).toBe(4)
    expect(exitCodeOf(new AppError(ERROR_CODES.noSuchNode, 'x'))).toBe(5)
    expect(exitCodeOf(new AppError(ERROR_CODES.token, 'x'))).toBe(6)
    expect(exitCodeOf(new AppError(ERROR_CODES.nameTaken, 'x'))).toBe(6)
    expect(exitCodeOf(new AppError(ERROR_CODES.unreachable, 'x'))).toBe(7)
    expect(exitCodeFor(ERROR_CODES.pending)).toBe(7)
    expect(exitCodeOf(new AppError(ERROR_CODES.storeFull, 'x'))).toBe(8)
    expect(exitCodeOf(new ConfigError([]))).toBe(1)
    expect(exitCodeOf(new Error('x'))).toBe(1)
    expect(exitCodeOf(undefined)).toBe(1)
  })
})
