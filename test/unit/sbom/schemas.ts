import { Ajv, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../../../fixtures/sbom');

function read(name: string): object {
  return JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as object;
}

/** The official schema of CycloneDX 1.6. */
export function cyclonedxSchema(): ValidateFunction {
  const ajv = new Ajv({ strict: false, formats: { 'iri-reference': true, 'idn-email': true } });
  addFormats.default(ajv, ['date-time', 'email', 'uri']);
  return ajv.addSchema([read('spdx.schema.json'), read('jsf-0.82.schema.json')]).compile(read('bom-1.6.schema.json'));
}

/** The official schema of SPDX 3.0.1. */
export function spdxSchema(): ValidateFunction {
  return new Ajv2020({ strict: false }).compile(read('spdx-3.0.1.schema.json'));
}

/** Ids of the SPDX license list. */
export function licenseIds(): ReadonlySet<string> {
  return new Set((read('spdx.schema.json') as { enum: string[] }).enum);
}
