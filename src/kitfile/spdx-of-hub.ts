/** Ids of Hugging Face's license list that are SPDX ids in other letters; https://huggingface.co/docs/hub/repositories-licenses */
const SPDX = [
  'Apache-2.0 MIT AFL-3.0 Artistic-2.0 BSL-1.0 BSD-2-Clause BSD-3-Clause BSD-3-Clause-Clear 0BSD C-UDA-1.0',
  'CC0-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC-BY-NC-2.0 CC-BY-NC-3.0 CC-BY-NC-4.0',
  'CC-BY-ND-4.0 CC-BY-NC-ND-3.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-2.0 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0',
  'CDLA-Sharing-1.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 WTFPL ECL-2.0 EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2',
  'AGPL-3.0 GFDL-1.3 GPL-2.0 GPL-3.0 LGPL-2.1 LGPL-3.0 ISC LPPL-1.3c MS-PL MPL-2.0 ODC-By-1.0 ODbL-1.0 OSL-3.0 PostgreSQL OFL-1.1',
  'NCSA Unlicense Zlib PDDL-1.0 Intel',
].flatMap((line) => line.split(' '));
/** What the hub shortens. */
const SHORT: ReadonlyMap<string, string> = new Map([
  ['odc-by', 'ODC-By-1.0'],
  ['odbl', 'ODbL-1.0'],
  ['pddl', 'PDDL-1.0'],
  ['lppl-1.3c', 'LPPL-1.3c'],
]);

/** The SPDX id for a license of a Hugging Face card; what SPDX does not have (`llama3`) stays as it is. */
export function spdxOfHub(license: string): string {
  const wanted = license.trim().toLowerCase();
  return SHORT.get(wanted) ?? SPDX.find((id) => id.toLowerCase() === wanted) ?? license.trim();
}
