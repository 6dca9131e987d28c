/** The local API of one interface, see local-api-schema.ts for what is said. */

import type { Logger } from '../base/log.js'
import { type Route, startApiServer } from './api-server.js'
import type { InterfaceStatus, ReloadResult, StopResult, TrustReport, WhyReport } from './local-api-schema.js'

export interface LocalApiHandlers {
  status(): InterfaceStatus
  reload(): Promise<ReloadResult>
  /** Resolves when everything is undone but the API itself. */
  stop(): Promise<StopResult>
  why(): readonly WhyReport[]
  trustReport(): TrustReport
  /** `body`: not checked yet. */
  trust(body: unknown): unknown
}

export interface LocalApiOptions {
  readonly path: string
  readonly handlers: LocalApiHandlers
  readonly log: Logger
  /** A client that has not sent its request for this long is dropped. */
  readonly requestTimeoutMs?: number
}

/** The caller owns the interface's journal. */
export async function startLocalApi(options: LocalApiOptions): Promise<{ stop(): Promise<void> }> {
  const { handlers, ...rest } = options
  const routes = new Map<string, Route>([
    ['GET /v1/status', () => handlers.status()],
    ['POST /v1/reload', async () => await handlers.reload()],
    ['POST /v1/stop', async () => await handlers.stop()],
    ['GET /v1/why', () => handlers.why()],
    ['GET /v1/trust', () => handlers.trustReport()],
    ['POST /v1/trust', (body) => handlers.trust(body)],
  ])
  return await startApiServer({ ...rest, routes })
}
