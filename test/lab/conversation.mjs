/**
 * Ordinary programs that talk for a while, knowing nothing of overlays: one connection each by HTTP/1.1,
 * HTTP/2, WebSocket and gRPC, over which a question goes every tenth of a second.
 *
 *   node conversation.mjs serve         prints "ready"
 *   node conversation.mjs talk HOST     until SIGTERM; prints lines of JSON all the time: for each program
 *                                       the answers that came, and how often its connection broke
 */

import { Agent, createServer as createHttp1Server, request as requestHttp1 } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js'
import { WebSocket, WebSocketServer } from 'ws'

const PORTS = { http1: 8081, http2: 8082, webSocket: 8083, grpc: 8084 }
const INTERVAL_MS = 100
/** Whoever started it may be gone. */
const LONGEST_MS = 300_000
const asBytes = (text) => Buffer.from(text)
const asText = (bytes) => bytes.toString()
const ECHO = {
  path: '/lab.Echo/Chat',
  requestStream: true,
  responseStream: true,
  requestSerialize: asBytes,
  requestDeserialize: asText,
  responseSerialize: asBytes,
  responseDeserialize: asText,
}
const TALKERS = { http1: talkHttp1, http2: talkHttp2, webSocket: talkWebSocket, grpc: talkGrpc }

let isOver = false

const [mode, host] = process.argv.slice(2)
if (mode === 'serve') await serve()
else await talk(host)
process.exit(0)

async function serve() {
  const http1 = createHttp1Server((request, response) => request.pipe(response))
  http1.keepAliveTimeout = LONGEST_MS
  http1.listen(PORTS.http1, '::')
  createHttp2Server((request, response) => request.pipe(response)).listen(PORTS.http2, '::')
  new WebSocketServer({ port: PORTS.webSocket, host: '::' }).on('connection', (socket) => {
    socket.on('message', (data) => socket.send(data.toString()))
  })
  const grpc = new Server()
  grpc.addService(
    { Chat: ECHO },
    { Chat: (call) => call.on('data', (text) => call.write(text)).on('end', () => call.end()) },
  )
  await new Promise((resolve, reject) => {
    grpc.bindAsync(`[::]:${PORTS.grpc}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    )
  })
  process.stdout.write('ready\n')
  await new Promise(() => undefined)
}

async function talk(name) {
  const talks = Object.fromEntries(Object.keys(TALKERS).map((key) => [key, { answers: 0, broken: 0 }]))
  const print = () => process.stdout.write(`${JSON.stringify(talks)}\n`)
  process.once('SIGTERM', () => {
    isOver = true
  })
  const reporter = setInterval(print, INTERVAL_MS)
  setTimeout(() => process.exit(1), LONGEST_MS)
  await Promise.all(Object.entries(TALKERS).map(([key, talker]) => talker(name, talks[key])))
  clearInterval(reporter)
  print()
}

/** Asks until it is over; `ask` resolves when its answer has come. */
async function converse(talk, ask) {
  while (!isOver) {
    await ask(String(talk.answers))
    talk.answers += 1
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS))
  }
}

async function talkHttp1(name, talk) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const options = { agent, host: name, port: PORTS.http1, method: 'POST' }
  await converse(talk, async (text) => {
    const request = requestHttp1(options).end(text)
    const response = await new Promise((resolve, reject) => {
      request.once('response', resolve).once('error', reject)
    })
    if (talk.answers > 0 && !request.reusedSocket) talk.broken += 1
    let answer = ''
    for await (const chunk of response) answer += chunk
    if (answer !== text || response.httpVersion !== '1.1') {
      throw new Error(`HTTP/${response.httpVersion}: ${answer} for ${text}`)
    }
  })
  agent.destroy()
}

async function talkHttp2(name, talk) {
  const session = connectHttp2(`http://${name}:${PORTS.http2}`)
  const breaks = () => (talk.broken += 1)
  session.on('error', breaks).on('goaway', breaks)
  await converse(talk, async (text) => {
    const stream = session.request({ ':path': '/', ':method': 'POST' })
    stream.end(text)
    let answer = ''
    for await (const chunk of stream) answer += chunk
    if (answer !== text) throw new Error(`HTTP/2: ${answer} for ${text}`)
  })
  session.close()
}

async function talkWebSocket(name, talk) {
  const socket = new WebSocket(`ws://${name}:${PORTS.webSocket}`)
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  socket.on('close', () => (talk.broken += 1))
  await converse(talk, async (text) => {
    socket.send(text)
    await new Promise((resolve) => socket.once('message', resolve))
  })
  socket.removeAllListeners('close')
  socket.close()
}

async function talkGrpc(name, talk) {
  const client = new Client(`${name}:${PORTS.grpc}`, credentials.createInsecure())
  const call = client.makeBidiStreamRequest(ECHO.path, ECHO.requestSerialize, ECHO.responseDeserialize)
  call.on('error', () => (talk.broken += 1))
  await converse(talk, async (text) => {
    call.write(text)
    await new Promise((resolve) => call.once('data', resolve))
  })
  call.end()
  client.close()
}
