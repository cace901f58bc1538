package kube

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"slipway/pools"
)

// CrewSite is where the coordinates run as pods, and how. It knows no model, so
// that a swap leaves all that follows from it as it is.
type CrewSite struct {
	Namespace string
	// Image has slipway on its path, and what Command wants.
	Image       string
	Command     []string
	Environment map[string]string
	// Credentials are variables of the command from Secrets that others look
	// after, the same for every pod.
	Credentials map[string]KeyOf
	// Server and Forge are where pods reach them.
	Server, Forge string
	CPU, Memory   string
	Egress        []Egress
}

// KeyOf is one key of a Secret.
type KeyOf struct{ Secret, Key string }

// Egress is somewhere that pods may connect to: a block of addresses, or the
// pods of a namespace.
type Egress struct {
	CIDR      string
	Namespace string
	Ports     []int // TCP; none: every port
}

// object is one thing of a cluster, as it should be.
type object struct {
	kind string
	runtime.Object
	meta metav1.Object
}

const (
	// What belongs to the pools carries these two labels.
	managedLabel = "app.kubernetes.io/managed-by"
	poolLabel    = "slipway/pool"
	// person is who runs in the pods: nobody in particular, and not root.
	person int64 = 65532
	// The keys of a coordinate's Secret, which are its files in the pod.
	workerKey = "worker-token"
	forgeKey  = "forge-token"
	// Where a pod finds things.
	poolFolder = "/var/run/slipway/pool"
	ownFolder  = "/var/run/slipway/own"
	workFolder = "/work"
)

// renderCrew is all that the pools need in the cluster but their Secrets, in
// the order in which it is made.
func renderCrew(site CrewSite, coordinates []pools.Address) []object {
	all := []object{thing("Namespace", &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: site.Namespace, Labels: map[string]string{
			"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest",
		}},
	})}
	members := map[pools.PoolName][]pools.Address{}
	for _, a := range coordinates {
		members[a.Pool()] = append(members[a.Pool()], a)
	}
	for _, name := range slices.SortedFunc(maps.Keys(members), pools.PoolName.Compare) {
		all = append(all, renderPool(site, name, members[name])...)
	}
	return all
}

func renderPool(site CrewSite, name pools.PoolName, members []pools.Address) []object {
	meta := metav1.ObjectMeta{Name: name.String(), Namespace: site.Namespace, Labels: labelsOf(name)}
	chosen := metav1.LabelSelector{MatchLabels: map[string]string{poolLabel: name.String()}}
	no := false
	return []object{
		thing("ServiceAccount", &corev1.ServiceAccount{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: meta, AutomountServiceAccountToken: &no,
		}),
		thing("Service", &corev1.Service{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta,
			Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: chosen.MatchLabels},
		}),
		thing("NetworkPolicy", &networkingv1.NetworkPolicy{
			TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: meta,
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: chosen, Egress: renderEgress(site.Egress),
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			},
		}),
		thing("StatefulSet", renderStatefulSet(site, meta, chosen, members)),
	}
}

// renderStatefulSet runs a coordinate in each pod, which has its name. Running
// pods keep the template that they began with until they are deleted: an
// attempt is not cut off by a change of it.
func renderStatefulSet(site CrewSite, meta metav1.ObjectMeta, chosen metav1.LabelSelector, members []pools.Address) *appsv1.StatefulSet {
	replicas := int32(0)
	for _, a := range members {
		replicas = max(replicas, int32(a.Replica)+1) //nolint:gosec // an address has four digits
	}
	user, no, grace := person, false, int64(60)
	return &appsv1.StatefulSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: meta,
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, Selector: &chosen, ServiceName: meta.Name,
			PodManagementPolicy: appsv1.ParallelPodManagement,
			UpdateStrategy:      appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels},
				Spec: corev1.PodSpec{
					ServiceAccountName: meta.Name, AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &grace,
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: yes(), RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					InitContainers: []corev1.Container{keeper(site, "secrets-first", "--once")},
					Containers:     []corev1.Container{builder(site), keeper(site, "secrets")},
					Volumes: []corev1.Volume{
						{Name: "pool", VolumeSource: corev1.VolumeSource{Projected: projected(members)}},
						{Name: "own", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: amount("1Mi")}}},
						{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
						{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
					},
				},
			},
		},
	}
}

// builder is the container that works. Of the pool's secrets it sees its own.
func builder(site CrewSite) corev1.Container {
	args := []string{"slipway", "builder", "--as", "$(POD_NAME)", "--server", site.Server, "--forge", site.Forge, "--dir", workFolder,
		"--token-file", ownFolder + "/" + workerKey, "--forge-token-file", ownFolder + "/" + forgeKey}
	env := []corev1.EnvVar{podName(), {Name: "HOME", Value: workFolder}}
	for _, name := range slices.Sorted(maps.Keys(site.Environment)) {
		env = append(env, corev1.EnvVar{Name: name, Value: literal(site.Environment[name])})
		args = append(args, "--env", name)
	}
	for _, name := range slices.Sorted(maps.Keys(site.Credentials)) {
		from := site.Credentials[name]
		env = append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: from.Secret}, Key: from.Key,
		}}})
		args = append(args, "--env", name)
	}
	args = append(args, "--")
	for _, a := range site.Command {
		args = append(args, literal(a))
	}
	return corev1.Container{
		Name: "builder", Image: site.Image, Command: args, Env: env, SecurityContext: confined(),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: *amount(site.CPU), corev1.ResourceMemory: *amount(site.Memory)},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: *amount(site.Memory)},
		},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "own", MountPath: ownFolder, ReadOnly: true}, {Name: "work", MountPath: workFolder}, {Name: "tmp", MountPath: "/tmp"},
		},
	}
}

// keeper hands the pod's own secrets over from the pool's, and goes on doing so,
// so that new ones reach a pod that runs.
func keeper(site CrewSite, name string, more ...string) corev1.Container {
	return corev1.Container{
		Name: name, Image: site.Image, Env: []corev1.EnvVar{podName()}, SecurityContext: confined(),
		Command: append([]string{"slipway", "pools", "hand-over", "--as", "$(POD_NAME)", "--from", poolFolder, "--to", ownFolder}, more...),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: *amount("10m"), corev1.ResourceMemory: *amount("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: *amount("64Mi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "pool", MountPath: poolFolder, ReadOnly: true}, {Name: "own", MountPath: ownFolder}},
	}
}

// projected is a folder for each coordinate of the pool. A Secret that is not
// there yet keeps no other pod from starting.
func projected(members []pools.Address) *corev1.ProjectedVolumeSource {
	mode, optional := int32(0o440), true
	v := &corev1.ProjectedVolumeSource{DefaultMode: &mode}
	for _, a := range members {
		p := &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: a.String()}, Optional: &optional}
		for _, key := range []string{workerKey, forgeKey} {
			p.Items = append(p.Items, corev1.KeyToPath{Key: key, Path: a.String() + "/" + key})
		}
		v.Sources = append(v.Sources, corev1.VolumeProjection{Secret: p})
	}
	return v
}

// renderEgress lets pods resolve names, and connect to what is listed.
func renderEgress(list []Egress) []networkingv1.NetworkPolicyEgressRule {
	udp, tcp := corev1.ProtocolUDP, corev1.ProtocolTCP
	dns := intstr.FromInt32(53)
	rules := []networkingv1.NetworkPolicyEgressRule{{
		To:    []networkingv1.NetworkPolicyPeer{inNamespace("kube-system")},
		Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}, {Protocol: &tcp, Port: &dns}},
	}}
	for _, e := range list {
		peer := inNamespace(e.Namespace)
		if e.CIDR != "" {
			peer = networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: e.CIDR}}
		}
		rule := networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{peer}}
		for _, p := range e.Ports {
			port := intstr.FromInt32(int32(p)) //nolint:gosec // a port has 16 bits
			rule.Ports = append(rule.Ports, networkingv1.NetworkPolicyPort{Protocol: &tcp, Port: &port})
		}
		rules = append(rules, rule)
	}
	return rules
}

func inNamespace(name string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": name}}}
}

func confined() *corev1.SecurityContext {
	no := false
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: yes(), RunAsNonRoot: yes(),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func podName() corev1.EnvVar {
	return corev1.EnvVar{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}}
}

func labelsOf(name pools.PoolName) map[string]string {
	return map[string]string{managedLabel: Manager, poolLabel: name.String()}
}

// literal keeps Kubernetes from putting a variable in place of $(NAME).
func literal(s string) string { return strings.ReplaceAll(s, "$(", "$$(") }

// amount reads one that was checked when the configuration was.
func amount(s string) *resource.Quantity {
	q, err := resource.ParseQuantity(cmp.Or(s, "0"))
	if err != nil {
		q = resource.Quantity{}
	}
	return &q
}

func yes() *bool {
	b := true
	return &b
}

func thing[T interface {
	runtime.Object
	metav1.Object
}](kind string, o T) object {
	return object{kind, o, o}
}
