import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

const digestSet = {
  type: 'object',
  minProperties: 1,
  additionalProperties: { type: 'string', pattern: '^[0-9a-f]{40,128}$' },
};

/** One of uri, digest and content is required (in-toto attestation v1, ResourceDescriptor). */
const resource = {
  type: 'object',
  additionalProperties: false,
  properties: {
    name: { type: 'string' },
    uri: { type: 'string', format: 'uri' },
    digest: digestSet,
    content: { type: 'string' },
    downloadLocation: { type: 'string', format: 'uri' },
    mediaType: { type: 'string' },
    annotations: { type: 'object' },
  },
  anyOf: [{ required: ['uri'] }, { required: ['digest'] }, { required: ['content'] }],
};

/**
 * SLSA provenance v1, after its text and provenance.proto (https://slsa.dev/spec/v1.0/provenance): no schema is published. Fields that it
 * does not name are refused here, though the specification lets producers add some.
 */
const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['buildDefinition', 'runDetails'],
  properties: {
    buildDefinition: {
      type: 'object',
      additionalProperties: false,
      required: ['buildType', 'externalParameters'],
      properties: {
        buildType: { type: 'string', format: 'uri' },
        externalParameters: { type: 'object' },
        internalParameters: { type: 'object' },
        resolvedDependencies: { type: 'array', items: resource },
      },
    },
    runDetails: {
      type: 'object',
      additionalProperties: false,
      required: ['builder'],
      properties: {
        builder: {
          type: 'object',
          additionalProperties: false,
          required: ['id'],
          properties: {
            id: { type: 'string', format: 'uri' },
            version: { type: 'object', additionalProperties: { type: 'string' } },
            builderDependencies: { type: 'array', items: resource },
          },
        },
        metadata: {
          type: 'object',
          additionalProperties: false,
          properties: {
            invocationId: { type: 'string' },
            startedOn: { type: 'string', format: 'date-time', pattern: 'Z$' },
            finishedOn: { type: 'string', format: 'date-time', pattern: 'Z$' },
          },
        },
        byproducts: { type: 'array', items: resource },
      },
    },
  },
};

const ajv = new Ajv2020({ strict: false, allErrors: true });
formats.default(ajv);
const validate = ajv.compile(schema);

/** What breaks SLSA v1 in a predicate; empty for a valid one. */
export function slsaErrors(predicate: unknown): string[] {
  validate(JSON.parse(JSON.stringify(predicate)));
  return (validate.errors ?? []).map(({ instancePath, message = '' }) => `${instancePath} ${message}`);
}
