/**
 * Text of a tunnel file cut into sections and settings: the grammar of `wg` and `wg-quick`.
 *
 * A `#` starts a comment anywhere, hooks included. Names ignore letter case and blanks. Knows no
 * setting by name, and repeats nothing of a line it does not understand: it may be a pasted key.
 */

export type ConfigLine =
  | { readonly kind: 'section'; readonly line: number; readonly name: string }
  | { readonly kind: 'setting'; readonly line: number; readonly key: string; readonly value: string }
  | { readonly kind: 'fault'; readonly line: number; readonly message: string; readonly hint: string }

/** Characters; room for 65,536 peers with long allowed IPs. */
const MAX_FILE_LENGTH = 32 * 1024 * 1024
/** Characters; lists of some ten thousand prefixes on one line exist. */
const MAX_LINE_LENGTH = 1024 * 1024

const BYTE_ORDER_MARK = '\ufeff'

export function scanConfig(text: string): readonly ConfigLine[] {
  if (text.length > MAX_FILE_LENGTH) {
    return [fault(0, `the file is longer than ${MAX_FILE_LENGTH} characters`, 'is it a tunnel file?')]
  }
  const lines = (text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text).split('\n')
  if (looksLikeUtf16(text)) return [fault(0, 'the file is UTF-16', 'save it as UTF-8')]
  const binary = lines.findIndex((line) => line.includes('\0'))
  if (binary >= 0) return [fault(binary + 1, 'the file is no text file: it holds a zero byte', '')]
  const scanned: ConfigLine[] = []
  for (const [i, line] of lines.entries()) {
    const parsed = scanLine(line, i + 1)
    if (parsed !== undefined) scanned.push(parsed)
  }
  return scanned
}

/** Of text that was read as UTF-8: its byte order mark is no UTF-8, or every other byte is zero. */
function looksLikeUtf16(text: string): boolean {
  return /^(\ufffd\ufffd|[^\0]\0[^\0]\0|\0[^\0]\0[^\0])/.test(text)
}

function scanLine(text: string, line: number): ConfigLine | undefined {
  if (text.length > MAX_LINE_LENGTH) {
    return fault(
      line,
      `the line is longer than ${MAX_LINE_LENGTH} characters`,
      'repeat the key on several lines',
    )
  }
  const content = (text.split('#', 1)[0] as string).trim()
  if (content === '') return undefined
  if (hasControlCharacter(content)) return fault(line, 'the line holds a control character', 'remove it')
  if (content.startsWith('[')) {
    if (!content.endsWith(']')) return fault(line, 'the section name has no closing bracket', 'write [Peer]')
    return { kind: 'section', line, name: content.slice(1, -1).replace(/\s+/g, '') }
  }
  const equals = content.indexOf('=')
  if (equals < 0) return fault(line, 'the line is neither a section nor a setting', 'write Key = value')
  const key = content.slice(0, equals).replace(/\s+/g, '')
  return { kind: 'setting', line, key, value: content.slice(equals + 1).trim() }
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true
  }
  return false
}

function fault(line: number, message: string, hint: string): ConfigLine {
  return { kind: 'fault', line, message, hint }
}
