/** Spans of time in words. Pure. */

const UNITS: readonly (readonly [string, number])[] = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
]

/** `1 minute, 5 seconds`: the two largest units that are not zero. `seconds`: 1 or more; a fraction is left out. */
export function formatSpan(seconds: number): string {
  const parts: string[] = []
  let rest = Math.floor(seconds)
  for (const [name, length] of UNITS) {
    const count = Math.floor(rest / length)
    if (count === 0) continue
    rest -= count * length
    parts.push(`${count} ${name}${count === 1 ? '' : 's'}`)
    if (parts.length === 2) break
  }
  return parts.join(', ')
}
