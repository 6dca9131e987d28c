/** docs/protocol.md names every message and every field of it that this program reads. */

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { relayMessage } from '../../../src/control/directory.js'
import { hubMessage, nodeMessage } from '../../../src/control/messages.js'

const DOCUMENT = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8')

interface ObjectSchema {
  readonly properties: Readonly<Record<string, { readonly const?: string }>>
  readonly required?: readonly string[]
}

/** Each message by its type. */
function messagesOf(schema: z.ZodType): Map<string, ObjectSchema> {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as { oneOf: ObjectSchema[] }
  return new Map(json.oneOf.map((message) => [message.properties.type?.const ?? '', message]))
}

/** The part behind `## TITLE`. */
function chapter(title: string): string {
  const [, text] = DOCUMENT.split(`\n## ${title}\n`)
  return text?.split('\n## ')[0] ?? ''
}

/** Of the row that begins with the message; `ping`, `leave` share one. */
function rowsOf(type: string, text: string): string {
  return text
    .split('\n')
    .filter((line) => line.split('|')[1]?.includes(`\`${type}\``))
    .join('\n')
}

const nodes = chapter('Node and hub')
const relays = chapter('Relay and hub')
const all: [string, ObjectSchema, string][] = [
  ...[...messagesOf(nodeMessage)].map(([type, schema]): [string, ObjectSchema, string] => [
    type,
    schema,
    ['relay', 'heard'].includes(type) ? relays : nodes,
  ]),
  ...[...messagesOf(hubMessage)].map(([type, schema]): [string, ObjectSchema, string] => [
    type,
    schema,
    nodes,
  ]),
  ...[...messagesOf(relayMessage)].map(([type, schema]): [string, ObjectSchema, string] => [
    type,
    schema,
    relays,
  ]),
]

/** As `welcome` up to `v6`. */
const SHARED = new Set(['network', 'prefix4', 'prefix6', 'name', 'v4', 'v6'])

describe('the tables of messages', () => {
  it.each(all)('have `%s` with all of its fields', (type, { properties, required = [] }, text) => {
    const row = rowsOf(type, text)
    expect(row).not.toBe('')
    for (const field of Object.keys(properties)) {
      if (field === 'type' || (type === 'pending' && SHARED.has(field))) continue
      const isOptional = !required.includes(field)
      expect(row, `field ${field}`).toContain(isOptional ? `\`${field}\`?` : `\`${field}\``)
    }
  })

  it('have no message that is none', () => {
    const known = new Set(all.map(([type]) => type))
    const named = [nodes, relays].flatMap((text) =>
      text.split('\n').flatMap((line) => {
        const [, first = ''] = line.split('|')
        return /^ `[\w, `]+` $/.test(first)
          ? [...first.matchAll(/`(\w+)`/g)].map(([, type = '']) => type)
          : []
      }),
    )
    expect(named.filter((type) => !known.has(type) && type !== 'refused')).toEqual([])
    expect(new Set(named).size).toBeGreaterThan(15)
  })
})
