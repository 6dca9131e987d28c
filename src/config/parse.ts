/**
 * Text of a tunnel file -> TunnelConfig. The one border: what leaves here is valid.
 *
 * All faults are reported at once, each with its line, what is wrong and what is allowed. No message
 * ever holds a key, a hook, or a line that was not understood.
 */

import { isZero } from '../base/bytes.js'
import { ConfigError, type ConfigIssue } from '../base/errors.js'
import { type PrivateKey, tryParseKeyBase64 } from '../wireguard/keys.js'
import { type AmneziaSetting, isAmneziaKey, isPlainWireGuard } from './amnezia.js'
import { type ConfigLine, scanConfig } from './lines.js'
import { nearest } from './nearest.js'
import {
  type Findings,
  openInterface,
  openOverlay,
  openPeer,
  resolveConfig,
  type Section,
} from './resolve.js'
import {
  INTERFACE_SETTINGS,
  type InterfaceDraft,
  OVERLAY_SETTINGS,
  type OverlayDraft,
  PEER_SETTINGS,
  type PeerDraft,
  type Setting,
} from './settings.js'
import type { TunnelConfig } from './types.js'
import { compact, describeKeyFault } from './values.js'

export interface ParseOptions {
  /** A file that gives no private key, and has no hook that sets one, cannot be brought up. */
  readonly needsPrivateKey?: boolean
}

export interface ParsedConfig {
  readonly config: TunnelConfig
  /** Allowed, but probably not meant. */
  readonly warnings: readonly ConfigIssue[]
}

/** Faults and warnings reported; more of them help nobody. */
const MAX_ISSUES = 100
const MAX_SHOWN_LENGTH = 60
const SECTIONS: readonly string[] = ['Interface', 'Peer', 'Overlay']

/** `file`: what messages call the text. Throws ConfigError. */
export function parseConfig(text: string, file: string, options: ParseOptions = {}): TunnelConfig {
  return parseConfigWithWarnings(text, file, options).config
}

export function parseConfigWithWarnings(
  text: string,
  file: string,
  options: ParseOptions = {},
): ParsedConfig {
  const reader = new ConfigReader(file)
  for (const line of scanConfig(text)) reader.handleLine(line)
  return reader.finish(options.needsPrivateKey ?? false)
}

/** Content of a file that PrivateKeyFile names. Throws ConfigError. */
export function parsePrivateKey(text: string, file: string): PrivateKey {
  const key = tryParseKeyBase64<PrivateKey>(text.trim())
  if (key !== undefined && !isZero(key)) return key
  const message = `the private key ${describeKeyFault(text.trim())}`
  throw new ConfigError([{ file, line: 0, message, hint: 'make one with: overlay genkey' }])
}

class ConfigReader {
  readonly #findings: Findings
  readonly #issues: ConfigIssue[] = []
  readonly #warnings: ConfigIssue[] = []
  /** `wg-quick` joins several [Interface] sections into one. */
  readonly #interface: Section<InterfaceDraft> = openInterface()
  readonly #peers: Section<PeerDraft>[] = []
  readonly #file: string
  readonly #amnezia: AmneziaSetting[] = []
  #overlay: Section<OverlayDraft> | undefined
  #current: 'none' | 'unknown' | 'interface' | 'peer' | 'overlay' = 'none'

  constructor(file: string) {
    this.#file = file
    this.#findings = {
      fault: (line, message, hint) => this.#issues.push({ file, line, message, hint }),
      warning: (line, message, hint) => this.#warnings.push({ file, line, message, hint }),
    }
  }

  handleLine(line: ConfigLine): void {
    if (line.kind === 'fault') this.#findings.fault(line.line, line.message, line.hint)
    else if (line.kind === 'section') this.#openSection(line.line, line.name)
    else this.#handleSetting(line.line, line.key, line.value)
  }

  finish(needsPrivateKey: boolean): ParsedConfig {
    const { keyLines, draft } = this.#interface
    const hasKey = keyLines.has('PrivateKey') || keyLines.has('PrivateKeyFile')
    if (needsPrivateKey && !hasKey && !draft.postUp.some(setsPrivateKey)) {
      this.#findings.fault(0, 'there is no private key', 'add PrivateKey or PrivateKeyFile to [Interface]')
    }
    this.#reportAmnezia()
    const config = resolveConfig(this.#interface, this.#peers, this.#overlay, this.#findings)
    if (this.#issues.length > 0) throw new ConfigError(limitIssues(this.#issues, this.#file))
    return { config, warnings: limitIssues(this.#warnings, this.#file) }
  }

  #reportAmnezia(): void {
    const [first] = this.#amnezia
    if (first === undefined) return
    if (isPlainWireGuard(this.#amnezia)) {
      const hint = 'its peers understand plain WireGuard, and overlay sends that'
      this.#findings.warning(first.line, 'the file is of AmneziaWG', hint)
    } else {
      const hint = 'overlay speaks WireGuard: ask for a file without S1 to S4 and H1 to H4'
      this.#findings.fault(first.line, 'the file is of AmneziaWG, which changes the messages', hint)
    }
  }

  #openSection(line: number, name: string): void {
    const known = name.toLowerCase()
    if (known === 'interface') {
      this.#current = 'interface'
    } else if (known === 'peer') {
      this.#current = 'peer'
      this.#peers.push(openPeer(line))
    } else if (known === 'overlay') {
      this.#current = 'overlay'
      this.#overlay ??= openOverlay(line)
    } else {
      this.#current = 'unknown'
      const hint = suggest(nearest(name, SECTIONS), `sections are ${SECTIONS.join(', ')}`)
      this.#findings.fault(line, `unknown section ${showWord(name)}`, hint)
    }
  }

  #handleSetting(line: number, key: string, value: string): void {
    const peer = this.#peers.at(-1)
    if (this.#current === 'interface') {
      const setting = findSetting(INTERFACE_SETTINGS, key)
      if (setting === undefined && isAmneziaKey(key)) this.#amnezia.push({ line, key, value })
      else if (setting === undefined) this.#reportUnknownKey(INTERFACE_SETTINGS, PEER_SETTINGS, line, key)
      else this.#apply(this.#interface, setting, line, value)
    } else if (this.#current === 'peer' && peer !== undefined) {
      const setting = findSetting(PEER_SETTINGS, key)
      if (setting === undefined) this.#reportUnknownKey(PEER_SETTINGS, INTERFACE_SETTINGS, line, key)
      else this.#apply(peer, setting, line, value)
    } else if (this.#current === 'overlay' && this.#overlay !== undefined) {
      const setting = findSetting(OVERLAY_SETTINGS, key)
      if (setting === undefined) this.#reportUnknownKey(OVERLAY_SETTINGS, INTERFACE_SETTINGS, line, key)
      else this.#apply(this.#overlay, setting, line, value)
    } else if (this.#current === 'none') {
      const hint = 'put [Interface] or [Peer] above it'
      this.#findings.fault(line, `key ${showWord(key)} stands before any section`, hint)
    }
  }

  #apply<Draft>(section: Section<Draft>, setting: Setting<Draft>, line: number, value: string): void {
    const { name, allowed } = setting
    const earlier = section.keyLines.get(name)
    if (earlier !== undefined && !setting.repeats) {
      this.#findings.fault(line, `${name} is given twice, first on line ${earlier}`, 'keep one of them')
      return
    }
    section.keyLines.set(name, earlier ?? line)
    const remark = setting.remark?.(value)
    if (remark !== undefined) this.#findings.warning(line, remark.message, remark.hint)
    for (const wrong of setting.apply(section.draft, value, line)) {
      if (value === '') this.#findings.fault(line, `${name} has no value`, `allowed: ${allowed}`)
      else if (setting.isKey) {
        this.#findings.fault(line, `${name} ${describeKeyFault(compact(value))}`, `allowed: ${allowed}`)
      } else this.#findings.fault(line, `${name} cannot be ${showValue(wrong)}`, `allowed: ${allowed}`)
    }
  }

  #reportUnknownKey(
    settings: readonly NamedSetting[],
    others: readonly NamedSetting[],
    line: number,
    key: string,
  ): void {
    const here = { interface: '[Interface]', peer: '[Peer]', overlay: '[Overlay]', none: '', unknown: '' }[
      this.#current
    ]
    const there = this.#current === 'interface' ? '[Peer]' : '[Interface]'
    const elsewhere = findSetting(others, key)
    const names = settings.map((setting) => setting.name)
    const hint =
      elsewhere === undefined
        ? suggest(nearest(key, names), `known keys: ${names.join(', ')}`)
        : `it belongs to ${there}`
    this.#findings.fault(line, `unknown key ${showWord(key)} in ${here}`, hint)
  }
}

/** Whether a hook gives the private key to the device, as the manual of `wg-quick` suggests. */
function setsPrivateKey(command: string): boolean {
  return /\b(private-key|setconf|addconf|syncconf)\b/.test(command)
}

type NamedSetting = { readonly name: string }

function findSetting<S extends NamedSetting>(settings: readonly S[], key: string): S | undefined {
  const wanted = key.toLowerCase()
  return settings.find((setting) => setting.name.toLowerCase() === wanted)
}

function suggest(word: string | undefined, otherwise: string): string {
  return word === undefined ? otherwise : `did you mean ${word}?`
}

/** Quotes a word of the file, unless it is so odd that it may be a misplaced secret. */
function showWord(word: string): string {
  return /^[A-Za-z][A-Za-z0-9_-]{0,31}$/.test(word) ? `"${word}"` : '(not shown: no plain word)'
}

/** Quotes the start of a value, unless a key may have been put where it does not belong. */
function showValue(text: string): string {
  if (/[A-Za-z0-9+/]{43}/.test(text)) return 'that (not shown: it may hold a key)'
  return text.length <= MAX_SHOWN_LENGTH ? `"${text}"` : `"${text.slice(0, MAX_SHOWN_LENGTH)}…"`
}

/** In line order, and not more than a person can read. */
function limitIssues(issues: readonly ConfigIssue[], file: string): readonly ConfigIssue[] {
  const sorted = issues.toSorted((a, b) => a.line - b.line)
  const more = sorted.length - MAX_ISSUES
  if (more <= 0) return sorted
  return [...sorted.slice(0, MAX_ISSUES), { file, line: 0, message: `and ${more} more`, hint: '' }]
}
