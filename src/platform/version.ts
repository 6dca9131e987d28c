/** The version of this program; package.json is the one place that says it. */

import { readFileSync } from 'node:fs'
import { z } from 'zod'

const manifest = z.object({ version: z.string() })

export function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return manifest.parse(JSON.parse(text)).version
}
