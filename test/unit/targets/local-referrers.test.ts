import { expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { MemoryTarget } from '../../../src/targets/memory.ts';

test('referrers of one type: by the manifest, else by its config', async () => {
  const target = new MemoryTarget('memory');
  const config = descriptorOf('application/x.config', Buffer.from('{}'));
  await target.push(config, bytesSource(Buffer.from('{}')));
  const push = async (fields: Record<string, unknown>): Promise<Descriptor> => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers: [], ...fields }));
    const blob = descriptorOf(MEDIA_TYPE.imageManifest, bytes);
    await target.push(blob, bytesSource(bytes));
    return blob;
  };
  const subject = await push({});
  const typed = await push({ subject, artifactType: 'application/x.one' });
  const untyped = await push({ subject });
  const empty = await push({ subject, artifactType: '' });
  const find = async (artifactType?: string) =>
    (await Array.fromAsync(target.can.referrers?.(subject, { artifactType }) ?? [])).map(({ digest }) => digest);
  expect(await find('application/x.one')).toEqual([typed.digest]);
  expect(await find('application/x.config')).toEqual([untyped.digest, empty.digest]);
  expect(await find('application/x.other')).toEqual([]);
  expect(await find()).toHaveLength(3);
});
