import { usableAeads } from '../../../src/platform/plane.js'
import { describeDataPlane } from '../../support/data-plane-suite.js'
import { inNamespace } from '../../support/in-namespace.js'
import { createNativeHarness, prepareNamespace } from '../../support/native-harness.js'

inNamespace(import.meta.url, () => {
  prepareNamespace()
  for (const aead of usableAeads()) {
    describeDataPlane(`native, ${aead}`, () => createNativeHarness({ hasOffloads: true, threads: 1, aead }))
  }
  for (const hasOffloads of [true, false]) {
    for (const threads of [1, 2]) {
      const name = `native, ${hasOffloads ? 'offloads' : 'no offloads'}, ${threads} threads`
      describeDataPlane(name, () => createNativeHarness({ hasOffloads, threads }))
    }
  }
})
