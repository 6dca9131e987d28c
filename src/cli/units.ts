/** Numbers in words for people: spans of time, amounts of data. Pure. */

const SPANS: readonly (readonly [string, number])[] = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
]
const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `1 minute, 5 seconds ago`: the two largest units that are not zero. `ageS`: whole seconds. */
export function formatAge(ageS: number): string {
  if (ageS <= 0) return 'now'
  const parts: string[] = []
  let restS = ageS
  for (const [name, lengthS] of SPANS) {
    const count = Math.floor(restS / lengthS)
    if (count === 0) continue
    restS -= count * lengthS
    parts.push(`${count} ${name}${count === 1 ? '' : 's'}`)
    if (parts.length === 2) break
  }
  return `${parts.join(', ')} ago`
}

/** `1.25 MiB`: three significant digits in binary units. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < BINARY_UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${BINARY_UNITS[unit]}`
}
