/** The border of every API: what a body has to be before anything is done with it. */

import type { ZodType } from 'zod'
import { RequestError } from '../base/errors.js'

/** Throws RequestError with the name of the first field that is wrong. */
export function checked<T>(schema: ZodType<T>, body: unknown): T {
  const { success, data, error } = schema.safeParse(body)
  if (success) return data
  const [issue] = error.issues
  const extra = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
  const field = [...(issue?.path ?? []), ...extra].join('.')
  const place = field === '' ? 'the body' : `"${field}"`
  throw new RequestError(field, `${place} is wrong: ${issue?.message ?? 'it has another form'}`)
}
