/** What it takes to connect through an HTTP proxy. */

import type { HostEndpoint } from './endpoint.js'

export interface HttpProxy {
  readonly endpoint: HostEndpoint
  readonly isTls: boolean
  /** Certificates as PEM by which it is known, beside those that Node knows. */
  readonly authority?: string | undefined
  /** Secret: `user:password`; empty if none is needed. */
  readonly credentials: string
}
