import { expect, it } from 'vitest'
import { exitCodeOf } from '../../../src/base/errors.js'
import { StoreError } from '../../../src/hub/store-error.js'

it('a full disk has a code and an exit code of its own', () => {
  const full = new StoreError('full', 'x', { hint: '', cause: undefined })
  const locked = new StoreError('locked', 'x', { hint: '', cause: undefined })
  expect(full.code).toBe('STORE_FULL')
  expect(exitCodeOf(full)).toBe(8)
  expect(locked.code).toBe('STORE_FAILED')
  expect(exitCodeOf(locked)).toBe(1)
})
