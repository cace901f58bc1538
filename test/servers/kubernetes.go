package servers

// kubernetesArtifacts describes what the Kubernetes test server is made of.
func kubernetesArtifacts() []Artifact { return nil }
