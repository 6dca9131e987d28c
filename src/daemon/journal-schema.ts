/**
 * The undo journal's form on disk. Read with care: whoever reads it acts on it as root. It is a file of
 * its own because reading a journal is rare, and a start should not wait for the validator.
 */

import { z } from 'zod'
import type { LastingChange } from './system-change.js'
import type { JournalRecord } from './undo-journal.js'

const lastingChange: z.ZodType<LastingChange> = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('rule'),
    family: z.union([z.literal(4), z.literal(6)]),
    priority: z.int().min(1),
    table: z.int().min(1),
    unlessMark: z.int().min(1).optional(),
    suppressPrefixLength: z.int().min(0).optional(),
  }),
  z.strictObject({
    kind: z.literal('sysctl'),
    name: z.string().regex(/^[a-z0-9_.]+$/),
    value: z.string(),
    previous: z.string(),
  }),
  z.strictObject({
    kind: z.literal('firewall'),
    family: z.enum(['ip', 'ip6']),
    addresses: z.array(z.string()),
    mark: z.int().min(1),
  }),
  z.strictObject({
    kind: z.literal('dns'),
    servers: z.array(z.string()),
    searchDomains: z.array(z.string()),
  }),
  z.strictObject({ kind: z.literal('killSwitch'), mark: z.int().min(1) }),
  z.strictObject({ kind: z.literal('names'), server: z.string(), domain: z.string() }),
])

const processIdFields = { pid: z.int().min(1), processStart: z.string() }

export const journalRecord: z.ZodType<JournalRecord> = z.strictObject({
  version: z.literal(1),
  interface: z.string(),
  mode: z.enum(['tunnel', 'device']),
  configFile: z.string(),
  guard: z.strictObject(processIdFields).optional(),
  ...processIdFields,
  namespace: z.string(),
  changes: z.array(lastingChange),
  postDown: z.array(z.string()),
})
