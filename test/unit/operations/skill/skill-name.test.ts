import { expect, test } from 'vitest';
import { skillDirectoryName } from '../../../../src/operations/skill/skill-name.ts';

test.each([
  ['docx', 'docx'],
  ['Docx Tools', 'docx-tools'],
  ['my_skill.v2', 'my_skill.v2'],
  ['../../etc/passwd', 'etc-passwd'],
  ['..', 'unnamed-skill'],
  ['.kit-unpack-1', 'kit-unpack-1'],
  ['a\0b\\c:d', 'a-b-c-d'],
  ['Überprüfung', 'berpr-fung'],
  ['名前', 'unnamed-skill'],
  ['--x--', 'x'],
  ['a'.repeat(63) + '-bcd', 'a'.repeat(63)],
  ['', 'unnamed-skill'],
])('%j goes to %j', (name, directory) => {
  expect(skillDirectoryName(name)).toBe(directory);
});
