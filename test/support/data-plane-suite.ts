/**
 * The compliance suite: every sentence of src/dataplane/contract.ts and every rule of the paper that
 * the data plane keeps, as a test. All implementations pass it.
 */

import { afterEach, beforeEach, describe } from 'vitest'
import type { DataPlaneFactory, DataPlaneHarness } from './data-plane-harness.js'
import { frameTests } from './data-plane-suite-frames.js'
import { inboundTests } from './data-plane-suite-inbound.js'
import { keypairTests } from './data-plane-suite-keypairs.js'
import { outboundTests } from './data-plane-suite-outbound.js'
import { pathTests } from './data-plane-suite-paths.js'
import { stagingTests } from './data-plane-suite-staging.js'

/** Gives the harness of the test that runs. */
export type HarnessOf = () => DataPlaneHarness

export function describeDataPlane(name: string, factory: DataPlaneFactory): void {
  describe(`data plane: ${name}`, () => {
    let harness: DataPlaneHarness

    beforeEach(async () => {
      harness = await factory()
    })
    afterEach(() => harness.stop())

    describe('on the way out', () => outboundTests(() => harness))
    describe('while no keypair can send', () => stagingTests(() => harness))
    describe('on the way in', () => inboundTests(() => harness))
    describe('with keypairs', () => keypairTests(() => harness))
    describe('with frame ports', () => frameTests(() => harness))
    describe('with sockets and paths', () => pathTests(() => harness))
  })
}
