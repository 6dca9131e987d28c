/**
 * What this program adds to resolv.conf(5), as text: lines behind a mark, taken away again by it. What others
 * change in the file meanwhile stays.
 *
 * The first three `nameserver` lines count, and of the `search` lines the last.
 */

/** `names`: the node's own server, asked first, for its domain. `dns`: servers of a tunnel file, asked alone. */
type EntryKind = 'names' | 'dns'

export interface ResolverEntry {
  readonly kind: EntryKind
  readonly interfaceName: string
  readonly servers: readonly string[]
  readonly searchDomains: readonly string[]
}

type Owner = Pick<ResolverEntry, 'kind' | 'interfaceName'>
/** What names an entry that is to go: its domains are in the search lines of others too. */
export type EntryName = Pick<ResolverEntry, 'kind' | 'interfaceName' | 'searchDomains'>

/** In place of what was there of the same kind and interface. */
export function withEntry(text: string, entry: ResolverEntry): string {
  const lines = linesOf(withoutEntry(text, entry))
  const kept = entry.kind === 'dns' ? setAside(lines, entry) : lines
  const top = entry.servers.flatMap((server) => [markOf(entry), `nameserver ${server}`])
  const search = searchOf(kept, entry)
  const bottom = search.length === 0 ? [] : [markOf(entry), `search ${search.join(' ')}`]
  return textOf([...top, ...kept, ...bottom])
}

export function withoutEntry(text: string, entry: EntryName): string {
  const mark = markOf(entry)
  const aside = asideOf(entry)
  const kept: string[] = []
  const lines = linesOf(text)
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ''
    if (line === mark) i += 1
    else if (isMark(lines[i - 1]) && isSearch(line)) kept.push(withoutDomains(line, entry.searchDomains))
    else kept.push(line.startsWith(aside) && entry.kind === 'dns' ? line.slice(aside.length) : line)
  }
  return textOf(kept)
}

/** Whether all of it is there. */
export function hasEntry(text: string, entry: ResolverEntry): boolean {
  const lines = linesOf(text)
  const own = lines.filter((_, i) => lines[i - 1] === markOf(entry))
  const domains = new Set(wordsOf(lines.findLast(isSearch) ?? ''))
  return (
    entry.servers.every((server) => own.includes(`nameserver ${server}`)) &&
    entry.searchDomains.every((domain) => domains.has(domain))
  )
}

/** Whether anything of it is there. */
export function hasTraceOf(text: string, owner: Owner): boolean {
  return linesOf(text).some((line) => line === markOf(owner) || line.startsWith(asideOf(owner)))
}

/** Servers that names outside of overlay networks can be asked of. */
export function otherServers(text: string): string[] {
  const lines = linesOf(text)
  return lines.flatMap((line, i) => {
    const above = lines[i - 1]
    const isNames = isMark(above) && above?.endsWith(SUFFIX.dns) === false
    return isNames ? [] : serverOf(line)
  })
}

const MARK = '# the next line is of overlay, interface '
const SUFFIX: Readonly<Record<EntryKind, string>> = { names: '', dns: ', DNS' }

function markOf({ kind, interfaceName }: Owner): string {
  return `${MARK}${interfaceName}${SUFFIX[kind]}`
}

function isMark(line: string | undefined): boolean {
  return line?.startsWith(MARK) === true
}

function asideOf({ interfaceName }: Owner): string {
  return `# set aside by overlay, interface ${interfaceName}: `
}

/** Other servers than those of overlays are not asked meanwhile. */
function setAside(lines: readonly string[], owner: Owner): string[] {
  return lines.map((line, i) =>
    serverOf(line).length > 0 && !isMark(lines[i - 1]) ? `${asideOf(owner)}${line}` : line,
  )
}

/** Domains of a tunnel file are searched first, as `wg-quick` has it; those of a network last: no short name changes. */
function searchOf(lines: readonly string[], { kind, searchDomains }: ResolverEntry): string[] {
  const others = wordsOf(lines.findLast(isSearch) ?? '').filter((domain) => !searchDomains.includes(domain))
  if (searchDomains.length === 0) return []
  return kind === 'dns' ? [...searchDomains, ...others] : [...others, ...searchDomains]
}

function isSearch(line: string): boolean {
  return /^\s*(search|domain)\s/.test(line)
}

function withoutDomains(line: string, domains: readonly string[]): string {
  const kept = wordsOf(line).filter((domain) => !domains.includes(domain))
  return ['search', ...kept].join(' ')
}

/** All after the keyword. */
function wordsOf(line: string): string[] {
  return line.split(/\s+/).filter(Boolean).slice(1)
}

function serverOf(line: string): string[] {
  const [, server] = /^\s*nameserver\s+(\S+)/.exec(line) ?? []
  return server === undefined ? [] : [server]
}

function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}

function textOf(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}
