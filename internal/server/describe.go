package server

import (
	_ "embed"
	"net/http"
)

// document describes the worker protocol and the API of work and pools, as
// OpenAPI 3.0. docs/api has the same.
//
//go:embed openapi.yaml
var document []byte

// OpenAPI is the description of the worker protocol and of the API of work and
// pools, as YAML.
func OpenAPI() []byte { return append([]byte(nil), document...) }

// describe serves the description. It says nothing of this server, so anybody
// may have it.
func describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(document) // a client that has gone is nobody left to tell
}
