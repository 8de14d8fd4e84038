// Writes docs/errors.md from the table of codes; a test holds the file to it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorsPage } from './errors-page.ts';

writeFileSync(join(import.meta.dirname, '..', 'docs', 'errors.md'), errorsPage());
