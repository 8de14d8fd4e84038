import { expect, test } from 'vitest';
import { sandbox } from '../support/kit.ts';

test('a dataset that stays where it is: said at pack and unpack, kept in the Kitfile', async () => {
  const box = await sandbox();
  const kitfile = `manifestVersion: 1.0.0
model: {path: m}
datasets:
  - {name: train, path: train.csv, remotePath: "s3://bucket/train.csv", remoteHash: "abc"}
  - {name: test, path: test.csv}
`;
  await box.write({ 'ctx/Kitfile': kitfile, 'ctx/m': 'm\n', 'ctx/test.csv': 'a\n' });
  const packed = await box.kit('pack ctx -t mine:v1');
  expect(packed.status).toBe(0);
  expect(packed.stderr).toBe('warning: dataset train stays at s3://bucket/train.csv: its files are not part of the ModelKit\n');
  const unpacked = await box.kit('unpack mine:v1 -d out');
  expect(unpacked.stderr).toBe(packed.stderr);
  expect(await box.tree('out')).toEqual(['Kitfile', 'm', 'test.csv']);
  expect((await box.kit('unpack mine:v1 -d model --filter model')).stderr).toBe('');
  expect(await box.ok('info mine:v1 --filter datasets[0].remotePath')).toBe('s3://bucket/train.csv\n');
});

test('the list of a layout names the layout', async () => {
  const box = await sandbox();
  await box.write({ 'ctx/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'ctx/m': 'm\n' });
  await box.ok('pack ctx -t oci:layout:v1');
  expect(await box.ok('list oci:layout --format {{.Repo}}:{{.Tags}}')).toBe('oci:layout:[v1]\n');
});
