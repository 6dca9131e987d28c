import { describe, expect, it } from 'vitest'
import { labelOf } from '../../../../src/daemon/network/join.js'

describe('the name that a node takes from its machine', () => {
  it.each([
    ['alice', 'alice'],
    ['Alice.example.org', 'alice'],
    ['my_host', 'my-host'],
    ['a'.repeat(64), 'a'.repeat(63)],
    [`${'a'.repeat(62)}-b`, 'a'.repeat(62)],
    ['-odd-', 'odd'],
    ['_.example', ''],
    ['', ''],
  ])('is cut to fit: %s', (host, label) => {
    expect(labelOf(host)).toBe(label)
  })
})
