/**
 * The file that a backup of a hub is: all that the hub keeps, in one piece of JSON.
 *
 * | field | what |
 * | format, version | `overlay hub backup`, 1 |
 * | createdAt | RFC 3339 |
 * | network | its name, for people |
 * | files | text of each file of the state directory, by name: key, certificate, settings |
 * | store | base64: a copy of the store, whole by itself |
 * | sha256 | hex, over the JSON of all before it: a file that was cut or changed is not taken for a backup |
 *
 * It holds the hub's secrets: it is for its owner alone, wherever it is kept.
 */

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { AppError, ERROR_CODES } from '../base/errors.js'

const FORMAT = 'overlay hub backup'
const VERSION = 1
/** A file of a hub, and no path: a backup decides nothing about other directories. */
export const STATE_FILE_NAME: RegExp = /^hub\.(?!db|sock)[a-z0-9][a-z0-9.-]{0,40}$/
const MAX_TEXT_CHARS: number = 64 * 1024

export interface HubBackup {
  readonly createdAt: string
  readonly network: string
  readonly files: Readonly<Record<string, string>>
  readonly store: Uint8Array
}

const schema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  createdAt: z.iso.datetime(),
  network: z.string().max(63),
  files: z.record(z.string().regex(STATE_FILE_NAME), z.string().max(MAX_TEXT_CHARS)),
  store: z.base64(),
  sha256: z.string().length(64),
})

export function formatBackup({ createdAt, network, files, store }: HubBackup): string {
  const content = {
    format: FORMAT,
    version: VERSION,
    createdAt,
    network,
    files,
    store: Buffer.from(store).toString('base64'),
  }
  return `${JSON.stringify({ ...content, sha256: digestOf(content) })}\n`
}

/** `path`: for the message. Throws AppError for what is no backup, or no whole one. */
export function parseBackup(text: string, path: string): HubBackup {
  const { data, error } = schema.safeParse(tryParseJson(text))
  if (data === undefined) throw notABackup(path, error)
  const { sha256, ...content } = data
  if (digestOf(content) !== sha256) throw notABackup(path, undefined)
  const { createdAt, network, files, store } = content
  return { createdAt, network, files, store: new Uint8Array(Buffer.from(store, 'base64')) }
}

function digestOf(content: object): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex')
}

function tryParseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function notABackup(path: string, cause: unknown): AppError {
  return new AppError(ERROR_CODES.config, `${path} is no backup of a hub, or a damaged one`, {
    hint: 'give a file that this wrote: overlay hub backup FILE',
    cause,
  })
}
