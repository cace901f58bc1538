package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Pools says where the pool config is, and what `slipway pools apply` makes for
// its coordinates. What they run stands in the pool config alone.
type Pools struct {
	File string // "" for no pools
	// Forge is where the coordinates have accounts; "" makes none.
	Forge string
	// Teams are the teams of the repositories' owners, by role.
	Teams map[string]string
	// Writers are the roles that push branches; the others only read.
	Writers    []string
	Kubernetes *PoolCluster // nil: they run elsewhere
}

// PoolCluster is where the coordinates run as pods.
type PoolCluster struct {
	Cluster   string
	Namespace string
	// Image has slipway in it, and what Command wants.
	Image       string
	Command     []string
	Environment map[string]string
	// Server and Forge are where pods reach them.
	Server, Forge string
	// Credentials are variables of the command from Secrets of the namespace, each
	// SECRET/KEY: the providers' credentials. Every pod is given all of them, so
	// that whatever a coordinate runs, its pod is the same.
	Credentials map[string]string
	CPU, Memory string
	Egress      []Egress
}

// Egress is somewhere that pods may connect to.
type Egress struct {
	CIDR      string // or:
	Namespace string
	Ports     []int // none: every port
}

var (
	secretKeyPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9._-]{1,253}$`)
	rolePattern      = regexp.MustCompile(`^[a-z][a-z0-9]{0,19}$`)
	amountPattern    = regexp.MustCompile(`^[0-9]{1,9}(m|Ki|Mi|Gi|Ti)?$`)
	podImagePattern  = regexp.MustCompile(`^[a-zA-Z0-9][A-Za-z0-9._:/@-]{0,400}$`)
)

func (r *serverReader) poolConfig() form {
	p := &r.server.Pools
	forges := func(s Server) []string { return names(s.Forges, func(f Forge) string { return f.Name }) }
	return r.object(
		must("file", r.path(&p.File), "The [pool config](pools.md). It is read again whenever it changes; a faulty one changes nothing."),
		may("forge", r.reference(&p.Forge, "forge", forges), "A name from `forges`: where `slipway pools apply` makes an account for each coordinate.").otherwise("no accounts are made"),
		may("teams", mapping(r.reader, &p.Teams, func(_ node, into *string) form {
			return r.text(into, matches(loginPattern, "a team's name")).seen(r.reader)
		}).keys(rolePattern).then(func(n node) {
			for role := range p.Teams {
				if !rolePattern.MatchString(role) {
					r.fault(n, "%q is not a role", clip(role))
				}
			}
		}), "For each role, the team in which its coordinates are: one of that name in each organisation that owns a repository of the forge."),
		may("writers", r.texts(&p.Writers, matches(rolePattern, "a role")), "The roles whose team may push branches. The others may read."),
		may("kubernetes", r.poolCluster(), "Where the coordinates run as pods.").otherwise("they run elsewhere"),
	).with("teams", "forge").with("forge", "teams").then(func(n node) {
		if r.names(n, "forge") != r.names(n, "teams") {
			r.fault(n, "needs both forge and teams, or neither")
		}
	})
}

func (r *serverReader) poolCluster() form {
	k := PoolCluster{CPU: "1", Memory: "2Gi"}
	clusters := func(s Server) []string { return names(s.Clusters, func(c Cluster) string { return c.Name }) }
	amount := matches(amountPattern, "an amount, such as 500m or 2Gi")
	return r.object(
		must("cluster", r.reference(&k.Cluster, "cluster", clusters), "A name from `clusters`."),
		must("namespace", r.text(&k.Namespace, label()), "The namespace of the pods and their Secrets, and of nothing else."),
		must("image", r.text(&k.Image, matches(podImagePattern, "an image")), "The image, with `slipway` on its path and what `command` wants. Pin it by its digest."),
		must("command", many(r.reader, &k.Command, "", func(s *string) form { return r.text(s) }), "What is run on each item, after `slipway builder … --`."),
		may("environment", mapping(r.reader, &k.Environment, func(key node, into *string) form {
			return r.text(into).then(r.variable(key))
		}), "Variables for the command. No secrets: they are read by everybody who sees pods."),
		may("server", r.base(&k.Server), "Where pods reach this server.").otherwise("`external_url`"),
		may("forge", r.base(&k.Forge), "Where pods reach the forge.").otherwise("the forge's `url`"),
		may("credentials", mapping(r.reader, &k.Credentials, func(key node, into *string) form {
			return r.text(into, matches(secretKeyPattern, "a key of a Secret: want SECRET/KEY")).then(r.variable(key))
		}), "Variables for the command from Secrets of the namespace, as `NAME: SECRET/KEY`: the providers' credentials. Every pod is given all, so that a swap touches none.").otherwise("none"),
		may("cpu", r.text(&k.CPU, amount), "How much processor a pod is given."),
		may("memory", r.text(&k.Memory, amount), "How much memory a pod is given, and may use at most."),
		may("egress", many(r.reader, &k.Egress, Egress{}, r.egress), "Where pods may connect to: this server, the forge, the providers. Names are always resolved.").otherwise("nowhere"),
	).named("pools on Kubernetes").then(func(n node) {
		r.server.Pools.Kubernetes = &k
		r.after = append(r.after, func() {
			if k.Server == "" && r.server.ExternalURL == "" {
				r.fault(n, "does not say where pods reach this server: set server here, or external_url")
			}
			if r.server.Pools.Forge == "" {
				r.fault(n, "wants the coordinates to have accounts: set pools.forge and pools.teams")
			}
		})
	})
}

// variable asks that a key names a variable that is free for the command.
func (r *serverReader) variable(key node) func(node) {
	return func(n node) {
		if !variablePattern.MatchString(key.Value) || strings.HasPrefix(key.Value, "SLIPWAY_") {
			r.fault(n, "is no name for a variable of the command: want letters, digits and _, not beginning with SLIPWAY_")
		}
	}
}

func (r *serverReader) egress(e *Egress) form {
	return r.object(
		may("cidr", r.text(&e.CIDR, that(func(s string) string {
			if p, err := netip.ParsePrefix(s); err != nil || p != p.Masked() {
				return "is not a block of addresses such as 192.0.2.0/24"
			}
			return ""
		})), "A block of addresses."),
		may("namespace", r.text(&e.Namespace, label()), "The pods of a namespace of the same cluster."),
		may("ports", r.ports(&e.Ports), "TCP ports.").otherwise("every port"),
	).named("egress").oneOf("cidr", "namespace").then(func(n node) {
		if r.names(n, "cidr") == r.names(n, "namespace") {
			r.fault(n, "needs either a cidr or a namespace")
		}
	})
}

func (r *serverReader) ports(into *[]int) form {
	return many(r.reader, into, 0, func(p *int) form { return r.number(p, 1, 65535) }).then(func(n node) {
		if list := slices.Sorted(slices.Values(*into)); len(slices.Compact(list)) < len(*into) {
			r.fault(n, "names a port twice")
		}
	})
}
