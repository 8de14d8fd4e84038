import * as z from 'zod';
import { type JsonValue, parseExactJson, stringifyExact } from '../../oci/json.ts';
import { predicateTypeOf } from '../../signing/predicate-types.ts';
import { OMS_PREDICATE_TYPE } from '../../signing/oms-statement.ts';
import { SIGNATURE_PREDICATE_TYPE, type Statement } from '../../signing/statement.ts';
import type { AuditEvidence } from './report.ts';
import { PROMOTION_TYPE } from '../history/record.ts';

const PROVENANCE_TYPES: ReadonlySet<string> = new Set(['slsaprovenance', 'slsaprovenance1'].map(predicateTypeOf));
const SBOM_TYPES: ReadonlySet<string> = new Set(['spdxjson', 'cyclonedx'].map(predicateTypeOf));

/** What kind of evidence a statement is, by its predicate type. */
export function kindOfStatement(predicateType: string): AuditEvidence['kind'] {
  if (predicateType === SIGNATURE_PREDICATE_TYPE) return 'signature';
  if (predicateType === OMS_PREDICATE_TYPE) return 'model signature';
  if (predicateType === PROMOTION_TYPE) return 'promotion';
  if (PROVENANCE_TYPES.has(predicateType)) return 'provenance';
  return SBOM_TYPES.has(predicateType) ? 'sbom' : 'attestation';
}

/** What is longer is named by its size: an SBOM lists every file. */
const MAX_CONTENT = 16 * 1024;
const MAX_MATERIALS = 200;

const text = z.string().max(4096).optional().catch(undefined);
const resource = z.looseObject({
  name: text,
  uri: text,
  digest: z.record(z.string().max(64), z.string().max(256)).optional().catch(undefined),
  annotations: z.record(z.string(), z.unknown()).optional().catch(undefined),
});
const resources = z.array(z.unknown()).optional().catch(undefined);
const provenanceSchema = z.looseObject({
  buildDefinition: z
    .looseObject({
      buildType: text,
      internalParameters: z.looseObject({ by: text }).optional().catch(undefined),
      resolvedDependencies: resources,
    })
    .default({})
    .catch({}),
  runDetails: z
    .looseObject({
      builder: z.looseObject({ id: text }).default({}).catch({}),
      metadata: z.looseObject({ invocationId: text, startedOn: text, finishedOn: text }).default({}).catch({}),
    })
    .default({ builder: {}, metadata: {} })
    .catch({ builder: {}, metadata: {} }),
});
/** SLSA v0.2. */
const olderSchema = z.looseObject({
  buildType: text,
  builder: z.looseObject({ id: text }).default({}).catch({}),
  materials: resources,
  metadata: z.looseObject({ buildInvocationID: text, buildStartedOn: text, buildFinishedOn: text }).default({}).catch({}),
});

/** Who built from what, by a provenance of whatever version. */
export interface BuildRecord {
  readonly buildType: string | undefined;
  readonly builder: string | undefined;
  readonly by: string | undefined;
  readonly invocation: string | undefined;
  readonly startedOn: string | undefined;
  readonly finishedOn: string | undefined;
  readonly materials: readonly z.infer<typeof resource>[];
  readonly materialsLeftOut: number;
}

/** Undefined for what is no object. */
export function readBuild(predicate: unknown): BuildRecord | undefined {
  if (typeof predicate !== 'object' || predicate === null) return undefined;
  if (!('buildDefinition' in predicate)) return readOlderBuild(predicate);
  const { data } = provenanceSchema.safeParse(predicate);
  if (data === undefined) return undefined;
  const { buildDefinition, runDetails } = data;
  const { builder, metadata } = runDetails;
  return {
    buildType: buildDefinition.buildType,
    builder: builder.id,
    by: buildDefinition.internalParameters?.by,
    invocation: metadata.invocationId,
    startedOn: timeOf(metadata.startedOn),
    finishedOn: timeOf(metadata.finishedOn),
    ...materialsIn(buildDefinition.resolvedDependencies),
  };
}

function readOlderBuild(predicate: object): BuildRecord | undefined {
  const { data } = olderSchema.safeParse(predicate);
  if (data === undefined) return undefined;
  const { buildType, builder, metadata, materials } = data;
  return {
    buildType,
    builder: builder.id,
    by: undefined,
    invocation: metadata.buildInvocationID,
    startedOn: timeOf(metadata.buildStartedOn),
    finishedOn: timeOf(metadata.buildFinishedOn),
    ...materialsIn(materials),
  };
}

function materialsIn(listed: readonly unknown[] = []): Pick<BuildRecord, 'materials' | 'materialsLeftOut'> {
  const materials = listed.slice(0, MAX_MATERIALS).flatMap((item) => {
    const { data } = resource.safeParse(item);
    return data === undefined ? [] : [data];
  });
  return { materials, materialsLeftOut: listed.length - materials.length };
}

const moveSchema = z.looseObject({
  kind: z.enum(['promotion', 'rollback']),
  from: z.looseObject({ reference: z.string().max(1024) }),
  to: z.looseObject({ repository: z.string().max(512), tag: z.string().max(128) }),
  previous: z.string().max(256).nullish(),
  when: z.string().max(64),
  by: z.string().max(256).optional(),
});

/** A promotion or rollback, as its record says; undefined for a malformed one. */
export function readMove(predicate: unknown): z.infer<typeof moveSchema> | undefined {
  return moveSchema.safeParse(predicate).data;
}

/** What a statement says, short enough to file. Undefined where its type says all. */
export function contentOf(kind: AuditEvidence['kind'], { predicate, subject }: Statement): JsonValue | undefined {
  if (kind === 'model signature') return undefined;
  if (kind === 'provenance') return plain(readBuild(predicate)) ?? null;
  if (kind === 'signature') {
    const annotations = Object.assign({}, ...subject.map((one) => one.annotations ?? {})) as Record<string, unknown>;
    return Object.keys(annotations).length === 0 ? undefined : bounded(annotations);
  }
  return bounded(predicate);
}

function bounded(value: unknown): JsonValue | undefined {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) return undefined;
  const bytes = Buffer.byteLength(json);
  return bytes > MAX_CONTENT ? { leftOut: `${bytes} bytes: \`kit download\` prints it` } : plain(value);
}

/** As JSON has it, without what is undefined. */
export function plain(value: unknown): JsonValue | undefined {
  return value === undefined ? undefined : parseExactJson(stringifyExact(value));
}

/** RFC 3339 in UTC; undefined for what is no time. */
export function timeOf(value: string | undefined): string | undefined {
  if (value === undefined || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(value)) return undefined;
  const time = new Date(value);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}
