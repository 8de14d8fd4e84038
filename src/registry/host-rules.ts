import { matchesHost, type RegistrySettings } from './settings.ts';

const MIB = 1024 * 1024;
const GB = 1000 * 1000 * 1000;
const GIB = 1024 * MIB;

/** What must be known of a registry before a request shows it. Undefined: as the distribution spec says, or as its answers tell. */
export interface HostRules {
  /** What people call it. */
  readonly service: string;
  /** How a blob may be split over several requests: `never`, or in chunks of at most so many bytes. */
  readonly chunks?: 'never' | { readonly maximum: number } | undefined;
  /** Bytes that one layer may have. */
  readonly maxLayerBytes?: number | undefined;
  /** Minutes after which an upload is broken off. */
  readonly uploadMinutes?: number | undefined;
  /** `tag`: there is no referrers API, and asking for it is one request too many. */
  readonly referrers?: 'api' | 'tag' | undefined;
  /** False: its API deletes nothing. */
  readonly deletion?: boolean | undefined;
  /** The way to delete there, where the API refuses. */
  readonly deletionHint?: string | undefined;
  /** What to do when it limits the rate of requests. */
  readonly rateHint?: string | undefined;
}

interface HostRow extends HostRules {
  readonly hosts: readonly string[];
}

/** Hosts that are known by name. Sources of each cell: docs/registries.md. Harbor, Artifactory, zot and distribution run under any name, and need no row. */
export const HOST_TABLE: readonly HostRow[] = [
  {
    service: 'Docker Hub',
    hosts: ['docker.io'],
    deletionHint: 'delete it at https://hub.docker.com, on the page of the repository',
    rateHint: 'Docker Hub counts pulls by account, and by address without one: `kit login docker.io`, or a mirror (docs/configuration.md)',
  },
  {
    service: 'GitHub Container Registry',
    hosts: ['ghcr.io', '*.ghe.com'],
    chunks: { maximum: 4 * MIB },
    maxLayerBytes: 10 * GB,
    uploadMinutes: 10,
    referrers: 'tag',
    deletion: false,
    deletionHint:
      '`gh api --method DELETE /orgs/OWNER/packages/container/NAME/versions/ID` (`/user/packages/...` for your own); `gh api .../versions` lists the IDs',
  },
  {
    service: 'Amazon ECR Public',
    hosts: ['public.ecr.aws'],
    chunks: 'never',
    maxLayerBytes: 10_000 * MIB,
    deletionHint: '`aws ecr-public batch-delete-image --region us-east-1 --repository-name NAME --image-ids imageTag=TAG`',
    rateHint: 'Amazon ECR Public allows more with an account: `kit login public.ecr.aws`',
  },
  {
    service: 'Amazon ECR',
    hosts: ['*.amazonaws.com', '*.amazonaws.com.cn', '*.on.aws'],
    chunks: 'never',
    maxLayerBytes: 52_000 * MIB,
    deletionHint: '`aws ecr batch-delete-image --repository-name NAME --image-ids imageTag=TAG` (or imageDigest=DIGEST)',
  },
  {
    service: 'Google Artifact Registry',
    hosts: ['*.pkg.dev', 'gcr.io', '*.gcr.io'],
    chunks: 'never',
    deletionHint: '`gcloud artifacts docker images delete IMAGE@DIGEST --delete-tags`',
  },
  {
    service: 'Azure Container Registry',
    hosts: ['*.azurecr.io', '*.azurecr.cn', '*.azurecr.us'],
    maxLayerBytes: 200 * GIB,
    deletionHint: '`az acr repository untag --name REGISTRY --image NAME:TAG` takes a tag away, `az acr repository delete` a manifest',
    rateHint: 'the tier of the registry sets the rate: https://aka.ms/acr/skus',
  },
  {
    service: 'GitLab Container Registry',
    hosts: ['registry.gitlab.com'],
    deletionHint: 'delete it under Deploy > Container registry of the project; a token needs the scope `api` or the role Developer',
  },
  {
    service: 'Quay.io',
    hosts: ['quay.io'],
    chunks: 'never',
    maxLayerBytes: 20 * GB,
    deletionHint:
      'delete the tag on the page of the repository at https://quay.io; what no tag reaches is collected after the time machine',
  },
];

/** The row for `registry` (`HOST[:PORT]`), with what is configured for it in its place. */
export function hostRules(registry: string, settings?: RegistrySettings): HostRules {
  const row = HOST_TABLE.find(({ hosts }) => hosts.some((pattern) => matchesHost(pattern, registry)));
  const { hosts: _hosts, ...known } = row ?? { service: registry, hosts: [] };
  const { maxLayerBytes, chunkSize, referrers, deletion } = settings ?? {};
  return {
    ...known,
    ...(maxLayerBytes !== undefined && { maxLayerBytes: maxLayerBytes === 'none' ? undefined : maxLayerBytes }),
    ...(chunkSize !== undefined && { chunks: chunkSize === 'never' ? chunkSize : { maximum: chunkSize } }),
    ...(referrers !== undefined && { referrers }),
    ...(deletion !== undefined && { deletion }),
  };
}
