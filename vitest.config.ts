import { defineConfig, type ViteUserConfig } from 'vitest/config'

/** A directory for one result file per run, read by .ci/run; undefined in a developer's shell. */
const results = process.env.OVERLAY_TEST_RESULTS

/**
 * Tests of pure rooms, as biome.json names them: no sockets, files, timers or clocks, so that many can
 * share one thread. What needs those lies in `io` folders and in files named after the native part.
 *
 * INVARIANT: these patterns are all that the project `fast` includes and all that `unit` leaves out, so
 * that each test belongs to one of the two.
 */
const ROOMS = 'test/unit/{base,net,names,wireguard,paths,control,config,relay,hub,dataplane}'
const FAST = [
  `${ROOMS}/!(native-*).test.ts`,
  `${ROOMS}/!(io)/**/*.test.ts`,
  'test/vectors/!(wireshark).test.ts',
]

/** One for each core: with two of them, vitest by itself would leave one idle. */
const WORKERS = '100%'

/** What a busy machine would falsify: flows counted against real time, and how long a start takes. */
const QUIET = ['test/lab/{sessions,starts}.test.ts']

/** Two and a half minutes in which nearly nothing happens, of use to whoever runs beside them. */
const TIMERS = ['test/interop/timers.test.ts']

/** Files that make networks. */
const ONE_BY_ONE = { fileParallelism: false, testTimeout: 300_000, hookTimeout: 120_000 }

const config: ViteUserConfig = defineConfig({
  test: {
    reporters:
      results === undefined
        ? ['default']
        : ['default', ['json', { outputFile: `${results}/${process.version}-${process.pid}.json` }]],
    projects: [
      {
        test: {
          name: 'fast',
          include: FAST,
          pool: 'threads',
          isolate: false,
          maxWorkers: WORKERS,
          // The others of this thread would meet what one file replaced.
          restoreMocks: true,
          unstubGlobals: true,
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/vectors/**/*.test.ts'],
          exclude: FAST,
          maxWorkers: WORKERS,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      { test: { name: 'lab', include: ['test/lab/**/*.test.ts'], exclude: QUIET, ...ONE_BY_ONE } },
      { test: { name: 'quiet', include: QUIET, ...ONE_BY_ONE } },
      { test: { name: 'interop', include: ['test/interop/**/*.test.ts'], exclude: TIMERS, ...ONE_BY_ONE } },
      { test: { name: 'timers', include: TIMERS, ...ONE_BY_ONE } },
      { test: { name: 'package', include: ['test/package/**/*.test.ts'], ...ONE_BY_ONE } },
      { test: { name: 'demo', include: ['test/demo/**/*.test.ts'], testTimeout: 180_000 } },
    ],
  },
})

export default config
