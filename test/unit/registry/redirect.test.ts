import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { createRegistryClient } from '../../../src/registry/client.ts';
import { randomBlob } from '../../support/registry-client.ts';

test('from a public registry to a private address is refused', async () => {
  // a proxy that answers for any host: the only public registry that a test can have
  const proxy = createServer((socket) => {
    socket.once('data', () =>
      socket.end('HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/latest?token=secret\r\n\r\n'),
    );
    socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => void proxy.close());
  const { port } = proxy.address() as AddressInfo;
  const client = createRegistryClient({ plainHttp: true, proxy: `http://127.0.0.1:${port}`, env: {} });
  onTestFinished(() => client.close());
  const failure: unknown = await client
    .repository('registry.example', 'a')
    .fetchBlob(randomBlob(1).blob)
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({
    code: 'REGISTRY_ERROR',
    message: expect.stringContaining(
      'a redirect to a private address (http://169.254.169.254/latest?token=...) is not followed',
    ) as unknown,
  });
  expect(String(failure)).not.toContain('secret');
});
