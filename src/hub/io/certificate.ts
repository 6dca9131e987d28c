/**
 * A self-signed certificate (RFC 5280), because firewalls and proxies want to see TLS. It proves nothing and
 * need not: inside runs a session to the hub's pinned key, and relayed messages are sealed end to end.
 */

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

const OID = {
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  commonName: [0x55, 0x04, 0x03],
} as const
const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const BIT_STRING = 0x03
const OBJECT_ID = 0x06
const UTF8_STRING = 0x0c
const GENERALIZED_TIME = 0x18
const EXPLICIT_0 = 0xa0
const VERSION_3 = 2

export interface Certificate {
  /** PEM. Secret. */
  readonly key: string
  /** PEM. */
  readonly cert: string
}

/** On a fresh P-256 key. `name`: what it is called. */
export function createCertificate(name: string): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = der(SEQUENCE, der(OBJECT_ID, Buffer.from(OID.ecdsaWithSha256)))
  const subject = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, der(OBJECT_ID, Buffer.from(OID.commonName)), der(UTF8_STRING, Buffer.from(name)))),
  )
  const validity = der(
    SEQUENCE,
    der(GENERALIZED_TIME, Buffer.from('20200101000000Z')),
    der(GENERALIZED_TIME, Buffer.from('99991231235959Z')),
  )
  // 16 bytes, the first of them 1 to 127, so that the number is positive and of the shortest form.
  const serial = randomBytes(16)
  serial[0] = ((serial[0] as number) & 0x7f) | 1
  const body = der(
    SEQUENCE,
    der(EXPLICIT_0, der(INTEGER, Buffer.of(VERSION_3))),
    der(INTEGER, serial),
    algorithm,
    subject,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = sign('sha256', body, privateKey)
  const whole = der(SEQUENCE, body, algorithm, der(BIT_STRING, Buffer.of(0), signature))
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines(whole.toString('base64'))}\n-----END CERTIFICATE-----\n`,
  }
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const { length } = body
  const short = Buffer.of(tag, length)
  const long =
    length < 0x100 ? Buffer.of(tag, 0x81, length) : Buffer.of(tag, 0x82, length >> 8, length & 0xff)
  return Buffer.concat([length < 0x80 ? short : long, body])
}

function lines(text: string): string {
  return (text.match(/.{1,64}/g) ?? []).join('\n')
}
