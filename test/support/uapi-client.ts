/** Speaks to the UAPI socket of a device as any program may: one request, whatever it says, and its answer. */

import { connect } from 'node:net'

export function uapiSocket(interfaceName: string): string {
  return `/var/run/wireguard/${interfaceName}.sock`
}

/** Sends one request and reads until the device closes; a refusal in the middle of it is an answer, too. */
export function askUapi(path: string, request: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(path, () => socket.end(request, 'latin1'))
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      answer += text
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
  })
}
