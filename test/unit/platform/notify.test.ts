import { afterEach, describe, expect, it, vi } from 'vitest'
import { notifyServiceManager } from '../../../src/platform/notify.js'

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('notifyServiceManager', () => {
  it('does nothing where no service manager asked', () => {
    vi.stubEnv('NOTIFY_SOCKET', undefined)
    expect(notifyServiceManager('READY=1')).toBe(false)
    vi.stubEnv('NOTIFY_SOCKET', '')
    expect(notifyServiceManager('READY=1')).toBe(false)
  })

  it.each(['/nonexistent/notify', '@overlay-test-nobody'])(
    'names the socket %s that nobody listens on',
    (path) => {
      vi.stubEnv('NOTIFY_SOCKET', path)
      expect(() => notifyServiceManager('READY=1')).toThrow(`cannot notify the service manager at ${path}: `)
    },
  )
})
