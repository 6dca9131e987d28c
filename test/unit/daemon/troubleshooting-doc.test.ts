/** docs/troubleshooting.md has a section for each code that `overlay why` can print. */

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { ERROR_KINDS } from '../../../src/base/errors.js'
import { WHY_CODES, WHY_NOTES } from '../../../src/paths/path-record.js'

const text = readFileSync(new URL('../../../docs/troubleshooting.md', import.meta.url), 'utf8')

it('has a section for each code and note, and no other', () => {
  const told = [...text.matchAll(/^### (.+)$/gm)].flatMap(([, codes = '']) => codes.split(', '))
  expect(told.sort()).toEqual(['DIRECT', ...WHY_CODES, ...WHY_NOTES].sort())
})

it('names no error that there is not', () => {
  const named = [...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code)
  expect(named.length).toBeGreaterThan(4)
  for (const code of named) expect(Object.keys(ERROR_KINDS)).toContain(code)
})
