import { defineConfig, type ViteUserConfig } from 'vitest/config'

/** A directory for one result file per run, read by .ci/run; undefined in a developer's shell. */
const results = process.env.OVERLAY_TEST_RESULTS

const config: ViteUserConfig = defineConfig({
  test: {
    reporters:
      results === undefined
        ? ['default']
        : ['default', ['json', { outputFile: `${results}/${process.version}-${process.pid}.json` }]],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/vectors/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'demo',
          include: ['test/demo/**/*.test.ts'],
          testTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})

export default config
