/** Keys and files that the tests of this room share. The keys are made up and protect nothing. */

import { formatBase64 } from '../../../src/base/bytes.js'

/** 32 equal bytes as base64. */
export function sampleKey(byte: number): string {
  return formatBase64(new Uint8Array(32).fill(byte))
}

export const FULL_FILE: string = `# a laptop
[Interface]
PrivateKey = ${sampleKey(1)}
ListenPort = 51820
FwMark = 0xca6c
Address = 10.0.0.1/24, fd00::1/64
Address = 10.0.1.1
DNS = 10.0.0.53, example.org, fd00::53
MTU = 1380
Table = off
PreUp = echo "a, b" > /tmp/x # not part of it
PostUp = iptables -A FORWARD -i %i -j ACCEPT
PostUp = true
PreDown = false
PostDown = echo down
SaveConfig = true

[Peer] # first
Name = alice
PublicKey = ${sampleKey(2)}
PresharedKey = ${sampleKey(3)}
AllowedIPs = 10.0.0.2, fd00::2/128
AllowedIPs = 10.2.0.0/16
Endpoint = vpn.example.org:51821
PersistentKeepalive = 25

[Peer]
PublicKey = ${sampleKey(4)}
AllowedIPs =
Endpoint = [fe80::1%eth0]:1
PersistentKeepalive = off
`
