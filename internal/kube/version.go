package kube

import (
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
)

// version is which state of a Deployment was seen. The resourceVersion says it
// exactly and changes with every heartbeat of a rollout; the generation changes
// only with the spec, and so is what a pin is held against.
type version struct {
	resource   string
	generation int64
}

func versionOf(d *appsv1.Deployment) version {
	return version{d.ResourceVersion, d.Generation}
}

// parseVersion reads what String wrote.
func parseVersion(s string) (version, error) {
	resource, generation, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(generation, 10, 64)
	if !ok || err != nil || resource == "" {
		return version{}, fmt.Errorf("%q is not the version of a Deployment", s)
	}
	return version{resource, n}, nil
}

// String is RESOURCEVERSION/GENERATION.
func (v version) String() string {
	return v.resource + "/" + strconv.FormatInt(v.generation, 10)
}
