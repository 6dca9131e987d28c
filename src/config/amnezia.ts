/**
 * Settings of AmneziaWG (amneziawg-tools), which disguises WireGuard: some change the messages, and then only an
 * AmneziaWG peer understands them; the others add messages that a WireGuard peer ignores.
 */

/** What each is in WireGuard itself, where it changes messages: sizes of padding, numbers of message types. */
const UNCHANGED: Readonly<Record<string, string>> = {
  s1: '0',
  s2: '0',
  s3: '0',
  s4: '0',
  h1: '1',
  h2: '2',
  h3: '3',
  h4: '4',
}

export interface AmneziaSetting {
  readonly line: number
  readonly key: string
  readonly value: string
}

export function isAmneziaKey(key: string): boolean {
  return /^(jc|jmin|jmax|s[1-4]|h[1-4]|i[1-5]|j[1-3]|itime)$/i.test(key)
}

/** Whether peers that go by these settings understand plain WireGuard. */
export function isPlainWireGuard(settings: readonly AmneziaSetting[]): boolean {
  return settings.every(({ key, value }) => {
    const plain = UNCHANGED[key.toLowerCase()]
    return plain === undefined || value === '' || value === plain
  })
}
