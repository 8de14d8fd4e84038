import type { Builder } from './builder.ts';
import type { Resource } from './resource.ts';

/** What `kit pack` does, with the meaning of its parameters: docs/provenance.md. */
export const PACK_BUILD_TYPE = 'https://ocikit.dev/build/pack/v1';

export interface PackFacts {
  readonly builder: Builder;
  /** What whoever ran it asked for. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Of the working tree: see `SourceState`. */
  readonly source: Readonly<Record<string, unknown>>;
  /** Who ran it, by a claim of the environment. */
  readonly by: string;
  readonly materials: readonly Resource[];
  readonly byproducts: readonly Resource[];
  readonly tool: { readonly name: string; readonly version: string };
  /** RFC 3339. */
  readonly startedOn: string;
  readonly finishedOn: string;
}

/** SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance), without the statement around it. */
export function packPredicate(facts: PackFacts): Readonly<Record<string, unknown>> {
  const { builder, parameters, source, by, materials, byproducts, tool, startedOn, finishedOn } = facts;
  const { workflow, system } = builder;
  return {
    buildDefinition: {
      buildType: PACK_BUILD_TYPE,
      externalParameters: { ...parameters, ...(workflow !== undefined && { workflow }) },
      internalParameters: { source, by, ...(system !== undefined && { [system.name]: system.parameters }) },
      resolvedDependencies: materials,
    },
    runDetails: {
      builder: { id: builder.id, version: { [tool.name]: tool.version } },
      metadata: { invocationId: builder.invocationId, startedOn, finishedOn },
      byproducts,
    },
  };
}
