# The same in Rego.
#   kit policy eval kserve-storage.rego --input inference-service.yaml                    with opa on PATH
#   opa build -t wasm -e kserve/deny kserve-storage.rego -o kserve-storage.tar.gz         without: name the bundle instead
package kserve

ours := {"registry.example.com/models/", "ghcr.io/example-team/"}

uris contains uri if {
	some path, uri
	walk(input.spec, [path, uri])
	path[count(path) - 1] in {"storageUri", "uri"}
}

deny contains sprintf("%s is not in one of our registries", [uri]) if {
	some uri in uris
	not from_ours(uri)
}

deny contains "an InferenceService without a storageUri" if {
	input.kind == "InferenceService"
	count(uris) == 0
}

# a key of a storage secret leads anywhere
deny contains "a model is named by a key of a storage secret, not by storageUri" if {
	some path
	walk(input.spec, [path, _])
	path[count(path) - 1] == "storage"
}

from_ours(uri) if {
	some registry in ours
	startswith(uri, concat("", ["oci://", registry]))
}
